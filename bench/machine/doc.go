// Package machine finds out what every report begins with: what the machine is, and what it makes of the few
// things that allocators trade against each other: a call through the PLT, the first touch of a small page and
// of a huge one.
package machine
