// Package lab is what the suites share: where the sources and results are, the compiler, the launcher, the
// subjects chosen on the command line, and how large a run is to be.
package lab
