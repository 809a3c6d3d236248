// Package selfcheck measures what is known beforehand: a shim that adds 20 ns to malloc, one that wastes a fifth
// of the memory, and two copies of one library. A bench that does not report these as what they are is not to be
// believed about anything else.
package selfcheck
