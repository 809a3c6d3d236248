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

/* The alignment that asks for none. */
#define DEFAULT_ALIGN SIZE_MAX

/* Allocates as operator new must: on failure calls the new-handler, as long as there is one, and tries
 * again. An alignment that is none fails at once. */
static void *allocate(size_t n, size_t align)
{
	int saved = errno;
	if (align != DEFAULT_ALIGN && (align == 0 || (align & (align - 1))))
		return NULL;
	for (;;) {
		void *p = align == DEFAULT_ALIGN ? vcm_allocate(n, FLAG_NEW) : vcm_allocate_aligned(n, align);
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

/* cxx.S: calls the function and turns an exception into NULL. */
HIDDEN void *vcm_nothrow(size_t n, size_t align, void *(*allocate)(size_t, size_t));

/* The operators by their C++ names. Where the program replaces one, these names are the program's, by the
 * dynamic linker's search order; fast.S has hidden names for ours. */
EXPORT void *_Znwm(size_t n);
EXPORT void *_Znam(size_t n);
EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align);
EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align);
EXPORT void _ZdlPv(void *p);
EXPORT void _ZdaPv(void *p);
EXPORT void _ZdlPvSt11align_val_t(void *p, size_t align);
EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align);
HIDDEN void *vcm_new(size_t n);
HIDDEN void vcm_delete(void *p);

int vcm_operators_replaced(void)
{
	return _Znwm != vcm_new || _ZdlPv != vcm_delete;
}

HIDDEN void *vcm_new_slow(size_t n)
{
	return allocate_or_throw(n, DEFAULT_ALIGN);
}

/* The derived operators call what [new.delete] says they call by default, so that replacing one function
 * replaces them all. */

HIDDEN void *vcm_new_array_slow(size_t n)
{
	return _Znwm(n);
}

static void *call_new(size_t n, size_t align)
{
	return align == DEFAULT_ALIGN ? _Znwm(n) : _ZnwmSt11align_val_t(n, align);
}

static void *call_new_array(size_t n, size_t align)
{
	return align == DEFAULT_ALIGN ? _Znam(n) : _ZnamSt11align_val_t(n, align);
}

HIDDEN void *vcm_new_nothrow_slow(size_t n)
{
	return vcm_nothrow(n, DEFAULT_ALIGN, _Znwm == vcm_new ? allocate : call_new);
}

HIDDEN void *vcm_new_array_nothrow_slow(size_t n)
{
	return vcm_nothrow(n, DEFAULT_ALIGN, _Znwm == vcm_new ? allocate : call_new_array);
}

EXPORT void *_ZnwmSt11align_val_t(size_t n, size_t align)
{
	return allocate_or_throw(n, align == DEFAULT_ALIGN ? 0 : align);
}

EXPORT void *_ZnamSt11align_val_t(size_t n, size_t align)
{
	return _ZnwmSt11align_val_t(n, align);
}

EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *tag)
{
	(void)tag;
	return vcm_nothrow(n, align == DEFAULT_ALIGN ? 0 : align, call_new);
}

EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t n, size_t align, const void *tag)
{
	(void)tag;
	return vcm_nothrow(n, align == DEFAULT_ALIGN ? 0 : align, call_new_array);
}

HIDDEN void vcm_delete_slow(void *p)
{
	vcm_release(p, CALL_DELETE);
}

HIDDEN void vcm_delete_array_slow(void *p)
{
	if (_ZdlPv != vcm_delete)
		_ZdlPv(p);
	else
		vcm_release(p, CALL_DELETE_ARRAY);
}

HIDDEN void vcm_delete_sized_slow(void *p, size_t n)
{
	if (_ZdlPv != vcm_delete)
		_ZdlPv(p);
	else
		vcm_release_sized(p, n, 0, CALL_DELETE | FLAG_EXACT);
}

HIDDEN void vcm_delete_array_sized_slow(void *p, size_t n)
{
	if (_ZdlPv != vcm_delete)
		_ZdaPv(p);
	else
		vcm_release_sized(p, n, 0, CALL_DELETE_ARRAY | FLAG_EXACT);
}

EXPORT void _ZdlPvRKSt9nothrow_t(void *p, const void *tag)
{
	(void)tag;
	_ZdlPv(p);
}

EXPORT void _ZdaPvRKSt9nothrow_t(void *p, const void *tag)
{
	(void)tag;
	_ZdaPv(p);
}

EXPORT void _ZdaPvSt11align_val_t(void *p, size_t align)
{
	_ZdlPvSt11align_val_t(p, align);
}

EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag)
{
	(void)tag;
	_ZdlPvSt11align_val_t(p, align);
}

EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag)
{
	(void)tag;
	_ZdaPvSt11align_val_t(p, align);
}

/* A program that replaces aligned operators replaces new and delete of them both; the aligned delete is
 * asked whether it is still ours. */
HIDDEN void vcm_delete_aligned(void *p, size_t align);

EXPORT void _ZdlPvmSt11align_val_t(void *p, size_t n, size_t align)
{
	if (_ZdlPvSt11align_val_t != vcm_delete_aligned)
		_ZdlPvSt11align_val_t(p, align);
	else
		vcm_release_sized(p, n, align, CALL_DELETE | FLAG_EXACT);
}

EXPORT void _ZdaPvmSt11align_val_t(void *p, size_t n, size_t align)
{
	if (_ZdlPvSt11align_val_t != vcm_delete_aligned)
		_ZdaPvSt11align_val_t(p, align);
	else
		vcm_release_sized(p, n, align, CALL_DELETE_ARRAY | FLAG_EXACT);
}
