// uintptr_t entry(uintptr_t): from C to Go's register convention, with a dormant runtime.
	.text
	.globl	entry
	.type	entry, @function
entry:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
	lea	fake_g(%rip), %r14
	mov	go_tlsg@gottpoff(%rip), %rax
	mov	%r14, %fs:(%rax)
	xorps	%xmm15, %xmm15
	mov	%rdi, %rax
	call	vcm_clean
	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	entry, . - entry
	.local	fake_g
	.comm	fake_g, 512, 64
	.section .note.GNU-stack, "", @progbits
