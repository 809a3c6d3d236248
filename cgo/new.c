/* operator new where the fast path had nothing: the new-handler, std::bad_alloc. The library does not need
 * libstdc++; what it calls of it is weak, or looked up when memory has run out. Compiled with -fexceptions:
 * handlers throw through these frames. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>

#include "vcm.h"

typedef void (*handler)(void);

extern handler get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

/* A program without libstdc++ may have loaded a C++ library that brought it, out of the weak references'
 * sight. */
static void *libstdcxx(const char *symbol)
{
	static void *library;
	if (!library)
		library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
	return library ? dlsym(library, symbol) : NULL;
}

static handler current_handler(void)
{
	handler (*get)(void) = get_new_handler;
	if (!get)
		get = (handler(*)(void))libstdcxx("_ZSt15get_new_handlerv");
	return get ? get() : NULL;
}

/* Allocates as operator new must: on failure calls the new-handler, as long as there is one, and tries
 * again. align 0 asks for the default. */
static void *allocate(size_t n, size_t align)
{
	int saved = errno;
	for (;;) {
		void *p = align ? vcm_allocate_aligned(n, align) : vcm_allocate(n, FLAG_NEW);
		if (p) {
			errno = saved;
			return p;
		}
		handler h = current_handler();
		if (!h)
			return NULL;
		h();
	}
}

static void *allocate_or_throw(size_t n, size_t align)
{
	void *p = allocate(n, align);
	if (p)
		return p;
	void (*throw)(void) = throw_bad_alloc;
	if (!throw)
		throw = (void (*)(void))libstdcxx("_ZSt17__throw_bad_allocv");
	if (throw)
		throw();
	return NULL; /* no C++ in this process: there is nobody to catch */
}

HIDDEN void *vcm_new_slow(size_t n)
{
	return allocate_or_throw(n, 0);
}

/* cxx.S: calls the second function and turns an exception into NULL. */
HIDDEN void *vcm_nothrow(size_t n, size_t align, void *(*allocate)(size_t, size_t));

HIDDEN void *vcm_new_nothrow_slow(size_t n)
{
	return vcm_nothrow(n, 0, allocate);
}

EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align)
{
	return allocate_or_throw(n, align);
}

EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align)
{
	return allocate_or_throw(n, align);
}

EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *tag)
{
	(void)tag;
	return vcm_nothrow(n, align, allocate);
}

EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *tag)
{
	(void)tag;
	return vcm_nothrow(n, align, allocate);
}

EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t align)
{
	vcm_release_sized(p, n, align, CALL_DELETE | FLAG_EXACT);
}

EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t align)
{
	vcm_release_sized(p, n, align, CALL_DELETE_ARRAY | FLAG_EXACT);
}
