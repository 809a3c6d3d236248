/* void *vcm_nothrow(size_t n, size_t align, void *(*allocate)(size_t, size_t)): allocate(n, align), or NULL if
 * it throws: what `try { return allocate(n, align); } catch (...) { return nullptr; }` compiles to. Written
 * out, with libstdc++'s functions weak, so that the library needs neither a C++ compiler nor libstdc++. */
	.weak	__gxx_personality_v0
	.weak	__cxa_begin_catch
	.weak	__cxa_end_catch

	.text
	.globl	vcm_nothrow
	.hidden	vcm_nothrow
	.type	vcm_nothrow, @function
	.p2align 4
vcm_nothrow:
	.cfi_startproc
	.cfi_personality 0x9b, vcm_personality
	.cfi_lsda 0x1b, .Llsda
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
.Ltry:	call	*%rdx
.Ldone:	add	$8, %rsp
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_restore_state
.Lcatch:
	mov	%rax, %rdi
	call	__cxa_begin_catch@PLT
	call	__cxa_end_catch@PLT
	xor	%eax, %eax
	jmp	.Ldone
	.cfi_endproc
	.size	vcm_nothrow, . - vcm_nothrow

	.section .gcc_except_table, "a", @progbits
	.balign	4
.Llsda:	.byte	0xff, 0x9b		/* landing pads count from the function; types are indirect */
	.uleb128 .Ltypes - .Lheader
.Lheader:
	.byte	0x01			/* call sites in uleb128 */
	.uleb128 .Lsites_end - .Lsites
.Lsites:
	.uleb128 .Ltry - vcm_nothrow
	.uleb128 .Ldone - .Ltry
	.uleb128 .Lcatch - vcm_nothrow
	.uleb128 1
.Lsites_end:
	.byte	1, 0			/* action: type 1, no further */
	.balign	4
	.long	0			/* type 1: catch (...) */
.Ltypes:

	.section .data.rel.local, "aw", @progbits
	.balign	8
	.type	vcm_personality, @object
vcm_personality:
	.quad	__gxx_personality_v0
	.size	vcm_personality, . - vcm_personality

	.section .note.GNU-stack, "", @progbits
