/* operator new with a hint of how often the object will be touched, as clang's MemProf passes emit it and TCMalloc
 * declares it: enum class __hot_cold_t : uint8_t, 0 coldest, 255 hottest. Cold objects, of any size, go to hugepages of
 * their own, which are backed by small pages. Small ones have spans of their own, and are not cached: each call takes
 * a lock.
 * What these functions can't serve they leave to the plain operator, with its handlers and its exception.
 * Compiled with -fexceptions, as new.c. */
#include <errno.h>

#include "vcm.h"

#define HOT 128 /* hints below are cold */

EXPORT void *_Znwm(size_t n);
EXPORT void *_Znam(size_t n);
EXPORT void *_ZnwmRKSt9nothrow_t(size_t n, const void *tag);
EXPORT void *_ZnamRKSt9nothrow_t(size_t n, const void *tag);
EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align);
EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align);
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *tag);
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *tag);

/* NULL also where the hint means nothing: the object is not cold, the alignment none, or the program has operators of
 * its own. */
static void *cold(size_t n, size_t align, uint8_t hint)
{
	if (hint >= HOT || n > PTRDIFF_MAX || align == 0 || align > PTRDIFF_MAX || (align & (align - 1)) || vcm_operators_replaced())
		return NULL;
	int saved = errno;
	uintptr_t nested = vcm_enter();
	void *p = vcm_go_aligned(n, align, nested | FLAG_COLD);
	vcm_leave_allocation();
	errno = saved;
	return p;
}

EXPORT void *_Znwm12__hot_cold_t(size_t n, uint8_t hint)
{
	void *p = cold(n, 16, hint);
	return p ? p : _Znwm(n);
}

EXPORT void *_Znam12__hot_cold_t(size_t n, uint8_t hint)
{
	void *p = cold(n, 16, hint);
	return p ? p : _Znam(n);
}

EXPORT void *_ZnwmRKSt9nothrow_t12__hot_cold_t(size_t n, const void *tag, uint8_t hint)
{
	void *p = cold(n, 16, hint);
	return p ? p : _ZnwmRKSt9nothrow_t(n, tag);
}

EXPORT void *_ZnamRKSt9nothrow_t12__hot_cold_t(size_t n, const void *tag, uint8_t hint)
{
	void *p = cold(n, 16, hint);
	return p ? p : _ZnamRKSt9nothrow_t(n, tag);
}

EXPORT void *_ZnwmSt11align_val_t12__hot_cold_t(size_t n, size_t align, uint8_t hint)
{
	void *p = cold(n, align, hint);
	return p ? p : _ZnwmSt11align_val_t(n, align);
}

EXPORT void *_ZnamSt11align_val_t12__hot_cold_t(size_t n, size_t align, uint8_t hint)
{
	void *p = cold(n, align, hint);
	return p ? p : _ZnamSt11align_val_t(n, align);
}

EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t12__hot_cold_t(size_t n, size_t align, const void *tag, uint8_t hint)
{
	void *p = cold(n, align, hint);
	return p ? p : _ZnwmSt11align_val_tRKSt9nothrow_t(n, align, tag);
}

EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t12__hot_cold_t(size_t n, size_t align, const void *tag, uint8_t hint)
{
	void *p = cold(n, align, hint);
	return p ? p : _ZnamSt11align_val_tRKSt9nothrow_t(n, align, tag);
}
