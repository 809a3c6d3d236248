package sizeclass

//go:generate go run ./gen

import "github.com/vcmalloc/vcmalloc/internal/units"

// How a request of s bytes finds its class; the assembly fast paths use the same constants.
//
//	s <= FineMax, malloc:       Lookup()[(s+15)>>MallocShift*2]    16-byte slots: only even entries
//	s <= FineMax, operator new: Lookup()[(s+7)>>FineShift]         8-byte slots
//	s <= units.MaxSmall:        Lookup()[(s+127)>>CoarseShift+CoarseBias]
//
// The factor 2 is free where an index can be scaled (x86 addressing). Reading even entries only is what
// keeps malloc out of the class of 8 bytes, which sits in entry 1 alone.
const (
	FineMax     = 1024 // bytes: up to here slots are fine
	FineShift   = 3    // log2 of a fine slot in bytes
	MallocShift = 4    // log2 of malloc's alignment in bytes
	CoarseShift = 7    // log2 of a coarse slot in bytes

	// CoarseBias makes the first coarse slot (1025..1152 bytes, 9 before the bias) follow the last fine
	// one (128).
	CoarseBias = FineMax>>FineShift - FineMax>>CoarseShift

	// TableLen is the number of entries of the lookup table: one past the slot of units.MaxSmall.
	TableLen = units.MaxSmall>>CoarseShift + CoarseBias + 1
)

// SoleAbove is the request size, in bytes, above which a class's spans hold a single object.
const SoleAbove units.Bytes = 45056

// RecipShift is the shift that goes with Class.Recip. 34 is the largest for which the reciprocal of 8
// fits 32 bits; offsets have 18 bits, so the product fits 52.
const RecipShift = 34

// Class describes one size class. It holds plain numbers only, 20 bytes, at the offsets that the
// assembly relies on (a test checks them). It is read-only.
type Class struct {
	Size    uint32 // bytes per object
	Recip   uint32 // off*Recip>>RecipShift (64 bits) is the index of the object that holds byte off
	DivMul  uint32 // off*DivMul (32 bits, wrapping) <= DivMax exactly if an object starts at byte off
	DivMax  uint32
	Objects uint16 // objects per span
	Pages   uint8  // 8 KiB pages per span
	Batch   uint8  // objects moved between tiers at once
}

// Of is the description of class c. Preconditions: c < NumClasses.
func Of(c units.ClassID) *Class { return &classes[c] }

// Size is the object size of class c in bytes. Preconditions: c < NumClasses.
func Size(c units.ClassID) units.Bytes { return units.Bytes(classes[c].Size) }

// Pages is the length of the spans of class c in 8 KiB pages. Preconditions: c < NumClasses.
func Pages(c units.ClassID) units.Pages { return units.Pages(classes[c].Pages) }

// Objects is how many objects a span of class c holds. Preconditions: c < NumClasses.
func Objects(c units.ClassID) uint32 { return uint32(classes[c].Objects) }

// Batch is how many objects of class c move between tiers at once. Preconditions: c < NumClasses.
func Batch(c units.ClassID) uint32 { return uint32(classes[c].Batch) }

// Lookup is the table from slot to class id, for code that can't call this package. Entry 0, for requests
// of no bytes, is the class of 16 bytes at either entry point.
func Lookup() *[TableLen]uint8 { return &lookup }

// Descriptions is the table of classes by id, for code that can't call this package.
func Descriptions() *[NumClasses]Class { return &classes }

// ForMalloc is the smallest class of at least 16 bytes that holds size bytes, all of whose objects are
// aligned to 16 bytes; 0 if size is above units.MaxSmall.
func ForMalloc(size units.Bytes) units.ClassID {
	if size <= FineMax {
		return units.ClassID(lookup[(size+15)>>MallocShift*2])
	}
	if size <= units.MaxSmall {
		return units.ClassID(lookup[(size+127)>>CoarseShift+CoarseBias])
	}
	return 0
}

// ForNew is ForMalloc for C++ operator new: requests of 1..8 bytes get the class of 8 bytes, aligned
// to 8. Objects that small can't contain anything that needs more.
func ForNew(size units.Bytes) units.ClassID {
	if size <= FineMax {
		return units.ClassID(lookup[(size+7)>>FineShift])
	}
	if size <= units.MaxSmall {
		return units.ClassID(lookup[(size+127)>>CoarseShift+CoarseBias])
	}
	return 0
}

// ForAligned is the smallest class of at least 16 bytes that holds size bytes and whose objects are all
// aligned to align bytes; 0 if size is above units.MaxSmall or align above the page size: such requests
// take whole pages. Preconditions: align is a power of two.
func ForAligned(size, align units.Bytes) units.ClassID {
	if size > units.MaxSmall || align > units.PageSize {
		return 0
	}
	// A suitable class is a multiple of align, so nothing is missed by starting at the next multiple, and
	// the walk is short. It ends: the last class is a multiple of the page size.
	mask := align - 1
	c := ForMalloc((size + mask) &^ mask)
	for units.Bytes(classes[c].Size)&mask != 0 {
		c++
	}
	return c
}

// Index is the index, from 0, of the object of class c that contains byte off of its span; Objects(c)
// for bytes behind the last object. Preconditions: 0 < c < NumClasses; off is less than the span's length.
func Index(c units.ClassID, off units.Bytes) uint32 {
	return uint32(uint64(off) * uint64(classes[c].Recip) >> RecipShift)
}

// Divides reports whether an object of class c starts at byte off of its span: off is a multiple of the
// size and there is an object there, not the tail. Preconditions: 0 < c < NumClasses; off is less than
// the span's length.
func Divides(c units.ClassID, off units.Bytes) bool {
	d := &classes[c]
	return uint32(off)*d.DivMul <= d.DivMax
}
