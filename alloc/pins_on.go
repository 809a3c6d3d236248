//go:build vcmlocks && !race

package alloc

import (
	"encoding/binary"

	"github.com/vcmalloc/vcmalloc/internal/sys"
)

// countAt is where procPinCode has the offset in m of the count of pins, in four bytes.
const countAt = 6

// expectPins has a build with the tag vcmlocks end the process where this package calls what takes a lock of the core
// without being pinned. Where procPin is not as expected, nobody knows where pins are counted, and nothing is checked.
// Making the heap comes before: it takes locks that nobody waits for.
func expectPins() {
	if walkHolds() {
		sys.ExpectPins(walkM, uintptr(binary.LittleEndian.Uint32(procPinIs()[countAt:])))
	}
}
