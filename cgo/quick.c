/* Quick paths that are short enough in C: aligned allocation, and resizing a small object. They read the block of
 * the fast paths and use these; whatever is out of the ordinary is left to the core. */
#include <string.h>

#include "vcm.h"

static inline uintptr_t word(size_t offset)
{
	return *(uintptr_t *)(vcm_block + offset);
}

static inline uint32_t number(size_t offset, size_t index)
{
	return ((uint32_t *)(vcm_block + offset))[index];
}

/* The class of n bytes from malloc; 0 where only the core can tell. */
static inline unsigned class_of(size_t n)
{
	const uint8_t *lookup = (uint8_t *)vcm_block + FAST_LOOKUP;
	if (n < word(FAST_FINE))
		return lookup[(n + 15) / 16 * 2];
	if (n < word(FAST_SMALL))
		return lookup[(n + 127) / 128 + COARSE_BIAS];
	return 0;
}

/* n bytes aligned to align, a power of two, or NULL: then the core is asked. A suitable class is a multiple of
 * align, so nothing is missed by beginning at the next multiple of it, and the walk is short; it ends, because the
 * last class is a multiple of the page size. */
void *vcm_quick_aligned(size_t n, size_t align)
{
	size_t room = (n + align - 1) & ~(align - 1);
	if (align > PAGE_MASK || room < n)
		return NULL;
	unsigned class = class_of(room);
	if (!class)
		return NULL;
	while (number(FAST_SIZES, class) & (align - 1))
		class++;
	uint64_t *p = vcm_pop(class);
	if (p)
		*p = 0; /* the mark of a free object */
	return p;
}

/* n > SOLE_ABOVE bytes that read as zero, or NULL: the core is asked. Objects of that size are alone on their span;
 * one whose first word is clear has never been handed out and lies on pages that read as zero. */
void *vcm_quick_zeroed(size_t n)
{
	unsigned class = class_of(n);
	uint64_t *p = class ? vcm_pop(class) : NULL;
	return p && *p ? memset(p, 0, n) : p;
}

/* The usable size of small object p; 0 for any other pointer, for one inside an object, and for an object that may
 * be free. */
static inline size_t small_size(void *p)
{
	uintptr_t page = (uintptr_t)p - vcm_fast.base, offset = (uintptr_t)p & PAGE_MASK;
	if (page >= vcm_fast.limit)
		return 0;
	page >>= PAGE_SHIFT;
	unsigned class = ((uint8_t *)vcm_fast.classes)[page];
	if (!class)
		return 0;
	if ((uint32_t)offset * number(FAST_STARTS, 2 * class) >= number(FAST_STARTS, 2 * class + 1)) {
		uint32_t first = *(uint32_t *)(vcm_fast.spans + ((uintptr_t)((uint32_t *)vcm_fast.span_ids)[page] << SPAN_SHIFT));
		offset += ((uint32_t)page - first) << PAGE_SHIFT;
		if ((uint32_t)offset * number(FAST_LONG_STARTS, 2 * class) >= number(FAST_LONG_STARTS, 2 * class + 1))
			return 0;
	}
	if (((uint32_t *)p)[1] == number(FAST_MARK, 1))
		return 0;
	return number(FAST_SIZES, class);
}

/* Makes small object p n > 0 bytes large, in place while the request fits and uses more than half of it (as
 * internal/heap does), and returns where it is then; NULL: the core is asked. */
void *vcm_quick_realloc(void *p, size_t n)
{
	size_t size = small_size(p);
	if (n <= size && n > size / 2)
		return p;
	if (size == 0 || n > MAX_SMALL || (n > size && n >= PAGES_FROM))
		return NULL;
	void *q = vcm_malloc(n);
	if (q) {
		memcpy(q, p, n < size ? n : size);
		vcm_free(p);
	}
	return q;
}
