// Package subject names what is measured: an allocator, which is a shared object to preload and an environment
// to run it in. Plain glibc is one too.
//
// Some programs bring their own allocator (Debian's redis-server links libjemalloc). There "no preload" would
// measure that one, so glibc's malloc is named by preloading libc itself, which puts it first in the search order
// and changes nothing else. Serves asks the dynamic loader whose malloc a program really calls.
package subject
