/* The malloc family beside malloc and free: glibc's manual, "Replacing malloc", POSIX.1-2024, C23. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vcm.h"

static int power_of_two(size_t n)
{
	return n && !(n & (n - 1));
}

EXPORT void *calloc(size_t n, size_t size)
{
	size_t total;
	if (unlikely(__builtin_mul_overflow(n, size, &total) || total > PTRDIFF_MAX))
		return vcm_no_memory();
	if (total <= SOLE_ABOVE) {
		void *p = vcm_malloc(total);
		return p ? memset(p, 0, total) : NULL;
	}
	void *p = vcm_quick_zeroed(total);
	if (p)
		return p;
	uintptr_t nested = vcm_enter();
	p = vcm_go_calloc(total, nested);
	vcm_leave_allocation();
	return p ? p : vcm_no_memory();
}

static void *resize(void *p, size_t n, uintptr_t call)
{
	if (!p)
		return vcm_malloc(n);
	if (n == 0) { /* glibc's choice, which programs rely on */
		vcm_release(p, call);
		return NULL;
	}
	if (unlikely(n > PTRDIFF_MAX))
		return vcm_no_memory();
	void *q = vcm_quick_realloc(p, n);
	if (q)
		return q;
	uintptr_t nested = vcm_enter();
	q = vcm_go_realloc(p, n, call | nested);
	vcm_leave_allocation();
	return q ? q : vcm_no_memory();
}

EXPORT void *realloc(void *p, size_t n)
{
	return resize(p, n, CALL_REALLOC);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t total;
	if (unlikely(__builtin_mul_overflow(n, size, &total)))
		return vcm_no_memory();
	return resize(p, total, CALL_REALLOCARRAY);
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
	if (!power_of_two(align)) {
		errno = EINVAL;
		return NULL;
	}
	return vcm_allocate_aligned(n, align);
}

/* An alignment that is no power of two is rounded up to one, as glibc does. */
EXPORT void *memalign(size_t align, size_t n)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	size_t power = 16;
	while (power < align)
		power <<= 1;
	return vcm_allocate_aligned(n, power);
}

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
	if (!power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	int saved = errno;
	void *p = vcm_allocate_aligned(n, align);
	errno = saved;
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

EXPORT void *valloc(size_t n)
{
	return vcm_allocate_aligned(n, sysconf(_SC_PAGESIZE));
}

EXPORT void *pvalloc(size_t n)
{
	size_t page = sysconf(_SC_PAGESIZE);
	if (n > SIZE_MAX - page)
		return vcm_no_memory();
	n = (n + page - 1) & ~(page - 1);
	return vcm_allocate_aligned(n ? n : page, page);
}

EXPORT void cfree(void *p)
{
	vcm_release(p, CALL_CFREE);
}

HIDDEN void vcm_free_sized_slow(void *p, size_t n)
{
	vcm_release_sized(p, n, 0, CALL_FREE_SIZED);
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t n)
{
	vcm_release_sized(p, n, align, CALL_FREE_ALIGNED_SIZED);
}

/* jemalloc's: the low six bits of flags are the logarithm of the alignment. */
EXPORT void sdallocx(void *p, size_t n, int flags)
{
	vcm_release_sized(p, n, flags & 63 ? (size_t)1 << (flags & 63) : 0, CALL_SDALLOCX);
}

EXPORT size_t nallocx(size_t n, int flags)
{
	if (n > PTRDIFF_MAX)
		return 0;
	return vcm_go_good(n, (size_t)1 << (flags & 63));
}

EXPORT size_t malloc_usable_size(void *p)
{
	if (!p)
		return 0;
	vcm_enter();
	size_t n = vcm_go_usable(p);
	vcm_leave();
	return n;
}

EXPORT int malloc_trim(size_t pad)
{
	(void)pad; /* glibc keeps so much at the top of its heap; there is no top here */
	if (vcm_enter()) {
		vcm_leave();
		return 0;
	}
	uintptr_t released = vcm_go_trim();
	vcm_leave();
	return released > 0;
}

EXPORT size_t vcmalloc_release(size_t bytes)
{
	int saved = errno;
	uintptr_t released = 0;
	if (!vcm_enter())
		released = vcm_go_release(bytes);
	vcm_leave();
	errno = saved;
	return released;
}
