/* The way from C into the Go core: vcm_go_NAME(...) takes up to five integer arguments by the C calling
 * convention and calls the body of a Go function, which takes them in RAX RBX RCX RDI RSI, wants R14 = g and
 * XMM15 = 0, and preserves no register.
 *
 * No goroutine is there. fake_g stands in for g: the stack check of compiled code compares SP with
 * g.stackguard0, which is 0 in it, and so always passes. Compiled code reloads R14 from the thread's g slot
 * after calls of Go assembly, so fake_g goes there as well. It is only read: all threads share it.
 */
#include "save.h"

	.macro	entry name
	.globl	vcm_go_\name
	.hidden	vcm_go_\name
	.type	vcm_go_\name, @function
	.p2align 5
vcm_go_\name:
	.cfi_startproc
	save	%rbp
	mov	%rsp, %rbp	/* frame pointers go on through Go code */
	save	%rbx
	save	%r12
	save	%r13
	save	%r14
	save	%r15
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	lea	vcm_fake_g(%rip), %r14
	mov	go_tlsg@gottpoff(%rip), %rax
	mov	%r14, %fs:(%rax)
	xorps	%xmm15, %xmm15
	mov	%rdi, %rax
	mov	%rsi, %rbx
	mov	%rcx, %rdi
	mov	%rdx, %rcx
	mov	%r8, %rsi
	call	go_\name
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	restore	%r15
	restore	%r14
	restore	%r13
	restore	%r12
	restore	%rbx
	restore	%rbp
	ret
	.cfi_endproc
	.size	vcm_go_\name, . - vcm_go_\name
	.endm

	.text
	entry	boot
	entry	malloc
	entry	calloc
	entry	aligned
	entry	realloc
	entry	free
	entry	free_checked
	entry	free_sized
	entry	usable
	entry	good
	entry	fork_begin
	entry	fork_parent
	entry	fork_child
	entry	background
	entry	visit
	entry	trim
	entry	release
	entry	use_locks
	entry	exit
	entry	stats

	.section .rodata
	.balign	64
	.type	vcm_fake_g, @object
vcm_fake_g:
	.zero	512
	.size	vcm_fake_g, . - vcm_fake_g

	.section .note.GNU-stack, "", @progbits
