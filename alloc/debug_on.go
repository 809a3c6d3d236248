//go:build vcmdebug

package alloc

// debugByTag turns debug mode on from the first allocation.
const debugByTag = true
