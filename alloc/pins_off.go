//go:build !vcmlocks || race

package alloc

// expectPins is for builds with the tag vcmlocks.
func expectPins() {}
