/* Where the fast paths end that could not serve a call. Registers hold what the caller passed. */
#include <errno.h>

#include "vcm.h"

void *vcm_allocate(size_t n, uintptr_t flags)
{
	if (unlikely(n > PTRDIFF_MAX))
		return vcm_no_memory();
	uintptr_t nested = vcm_enter();
	void *p = vcm_go_malloc(n, flags | nested);
	vcm_leave_allocation();
	return p ? p : vcm_no_memory();
}

void *vcm_malloc_slow(size_t n)
{
	return vcm_allocate(n, 0);
}

void *vcm_allocate_aligned(size_t n, size_t align)
{
	if (unlikely(n > PTRDIFF_MAX || align > PTRDIFF_MAX))
		return vcm_no_memory();
	void *p = vcm_quick_aligned(n, align);
	if (p)
		return p;
	uintptr_t nested = vcm_enter();
	p = vcm_go_aligned(n, align, nested);
	vcm_leave_allocation();
	return p ? p : vcm_no_memory();
}

/* Frees leave errno alone: POSIX.1-2024 asks it of free, C++ programs expect it of delete. The core makes
 * raw system calls only, which do not touch it. */

void vcm_release(void *p, uintptr_t call)
{
	if (!p)
		return;
	uintptr_t nested = vcm_enter();
	vcm_go_free(p, call | nested);
	vcm_leave();
}

void vcm_release_sized(void *p, size_t n, size_t align, uintptr_t flags)
{
	if (!p)
		return;
	uintptr_t nested = vcm_enter();
	vcm_go_free_sized(p, n, align, flags | nested);
	vcm_leave();
}

HIDDEN void vcm_free_slow(void *p)
{
	vcm_release(p, CALL_FREE);
}

/* The fast path found p sound and marked it, but its class has no room on this vCPU. */
HIDDEN void vcm_free_overflow(void *p, uintptr_t class)
{
	uintptr_t nested = vcm_enter();
	vcm_go_free_checked(p, class, nested);
	vcm_leave();
}
