/* The fast paths: from the exported symbol to the object in straight-line code, and the restartable sequences
 * that the slow paths use.
 *
 * A restartable sequence reads the thread's vCPU, works on that vCPU's slab and ends in one store. If the
 * thread is preempted, migrated or signalled inside, the kernel sends it to the abort label, from where it
 * starts over. vcm_slabs[vcpu] is the slab; a vCPU that has none, or whose slab is somebody else's for a
 * moment, has the empty slab there, in which every class is empty and full at once.
 *
 * Slab (percpu/doc.go): per class a header, (object on top, or an odd number) << 16 | index of the first free slot,
 * and behind the headers a 16-bit `end`; indexes count 8-byte words from the slab's start. A slot holds the header
 * that was there before the object above was pushed.
 */
#include <sys/syscall.h>

#include "fast.h"
#include "save.h"

#define FUTEX_WAKE_PRIVATE 129 /* linux/futex.h is no header for assembly */

/* A sequence's descriptor, and the abort landing that jumps back to \again. The signature must precede the
 * landing; as the displacement of a ud1 it keeps disassemblers in step. \saved are the registers the function
 * has pushed, for unwinders that look at the landing. */
	.macro	sequence start, end, again, saved:vararg
	.pushsection __rseq_cs, "aw", @progbits
	.balign	32
.Lcs\@:	.long	0, 0
	.quad	\start, \end - \start, .Labort\@
	.popsection
	.pushsection .text.rseq_abort, "ax", @progbits
	.cfi_startproc
	.irp	reg, \saved
	.ifnb	\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endif
	.endr
	.byte	0x0f, 0xb9, 0x3d
	.long	RSEQ_SIG
.Labort\@:
	jmp	\again
	.cfi_endproc
	.popsection
\again:	lea	.Lcs\@(%rip), %rcx
	mov	%rcx, %fs:RSEQ_CS(%rdx)
\start:
	.endm

/* rdx = the thread's struct rseq, r8 = its vCPU field, both as offsets from %fs; jumps to \slow in a thread
 * that is not registered. r10 = vcm_fast. */
	.macro	registered slow
	mov	FAST_RSEQ(%r10), %rdx
	mov	FAST_VCPU(%r10), %r8
	cmpl	$0, %fs:RSEQ_CPU_ID(%rdx)
	js	\slow
	.endm

/* rcx = slab of the current vCPU. The slab table lies behind the block, so that one register serves for both. */
	.macro	slab
	mov	%fs:(%r8), %ecx
	mov	FAST_BYTES(%r10,%rcx,8), %rcx
	.endm

/* Where no restartable sequence serves the thread, and locks guard the slabs: rdx = the lock of its slab, held,
 * r11 = the slab. Jumps to \slow, with nothing held, where there are no locks, the thread has had no turn yet, or the
 * lock is taken. The thread counts as inside the heap meanwhile, for a signal handler that allocates.
 * Clobbers rax, rcx, esi, r8. */
	.macro	lock_slab slow
	mov	FAST_LOCKS(%r10), %rdx
	test	%rdx, %rdx
	jz	\slow
	mov	vcm_self@gottpoff(%rip), %r8
	mov	%fs:THREAD_TURN(%r8), %esi
	dec	%esi
	js	\slow
	mov	%rsi, %rcx
	shl	$LOCK_SHIFT, %rcx
	add	%rcx, %rdx
	incl	%fs:THREAD_DEPTH(%r8)
	xor	%eax, %eax
	mov	$1, %ecx
	lock cmpxchg %ecx, (%rdx)
	jne	.Ltaken_lock\@
	mov	FAST_BYTES(%r10,%rsi,8), %r11
	jmp	.Lheld\@
.Ltaken_lock\@:
	decl	%fs:THREAD_DEPTH(%r8)
	jmp	\slow
.Lheld\@:
	.endm

/* Gives the lock rdx back and wakes a thread that sleeps for it. Preserves rax, rdi, r9 to r11. */
	.macro	unlock_slab
	xor	%ecx, %ecx
	xchg	%ecx, (%rdx)
	decl	%fs:THREAD_DEPTH(%r8)
	cmp	$2, %ecx
	jne	.Lawake\@
	call	vcm_wake
.Lawake\@:
	.endm

/* Pops an object of class r9d into rax, or jumps to \slow. What is next on top is prefetched: it is likely to be
 * handed out soon, and where nothing is, the header names an address nevertheless. Clobbers rcx rdx rsi r8. */
	.macro	take slow, unregistered
	registered \unregistered
	sequence .Lpop\@, .Lpopped\@, .Lrepop\@
	slab
	mov	(%rcx,%r9,8), %rax
	movzwl	%ax, %esi
	shr	$16, %rax
	test	$1, %al
	jnz	\slow		/* before the slot is read: its page may never have been touched */
	mov	-8(%rcx,%rsi,8), %rsi
	mov	%rsi, (%rcx,%r9,8)
.Lpopped\@:
	shr	$16, %rsi
	prefetcht0 (%rsi)
	.endm

	.macro	function name
	.globl	\name
	.type	\name, @function
\name:
	.cfi_startproc
	.endm

	.macro	endfunction name
	.cfi_endproc
	.size	\name, . - \name
	.endm

	.macro	hidden name
	.hidden	\name
	function \name
	.endm

/* A function that allocates rdi bytes: r9d = their class, found in slots of 8 or 16 bytes up to 1 KiB and of
 * 128 bytes above. The two bounds are in memory because they are zero until the heap is ready, and stay zero
 * where nothing may be fast: then every call goes to \slow. */
	.macro	allocate slow, kind, fine=FAST_FINE, small=FAST_SMALL
	lea	vcm_fast(%rip), %r10
	cmp	\fine(%r10), %rdi
	jae	2f
	.ifc	\kind, new
	lea	7(%rdi), %eax
	shr	$3, %eax
	movzbl	FAST_LOOKUP(%r10,%rax), %r9d
	.else
	lea	15(%rdi), %eax
	shr	$4, %eax
	movzbl	FAST_LOOKUP(%r10,%rax,2), %r9d
	.endif
.Lclass\@:
	take	.Lslow\@, .Lunregistered\@
.Ltaken\@:
	movq	$0, (%rax)	/* the mark of a free object */
	ret
2:	cmp	\small(%r10), %rdi
	jae	.Lslow\@
	lea	127(%rdi), %eax
	shr	$7, %eax
	movzbl	FAST_LOOKUP+COARSE_BIAS(%r10,%rax), %r9d
	jmp	.Lclass\@
.Lunregistered\@:
	call	vcm_take_locked
	test	%rax, %rax
	jnz	.Ltaken\@
.Lslow\@:
	jmp	\slow
	.endm

	.text
	.p2align 6
	.globl	vcm_malloc
	.hidden	vcm_malloc
	.type	vcm_malloc, @function
	function malloc
vcm_malloc:
	allocate vcm_malloc_slow, malloc
	endfunction malloc
	.size	vcm_malloc, . - vcm_malloc

/* The operators of C++. The plain ones may be replaced by the program; then these here are not called. The
 * others, derived from them, must in that case call the program's: they have bounds of their own, which send
 * them to the slow path there. The hidden names tell whether they were replaced. */
	.p2align 6
	.globl	vcm_new
	.hidden	vcm_new
	function _Znwm
vcm_new:
	allocate vcm_new_slow, new
	endfunction _Znwm

	.p2align 6
	function _Znam
	allocate vcm_new_array_slow, new, FAST_FINE_DERIVED, FAST_SMALL_DERIVED
	endfunction _Znam

	.p2align 6
	function _ZnwmRKSt9nothrow_t
	allocate vcm_new_nothrow_slow, new, FAST_FINE_DERIVED, FAST_SMALL_DERIVED
	endfunction _ZnwmRKSt9nothrow_t

	.p2align 6
	function _ZnamRKSt9nothrow_t
	allocate vcm_new_array_nothrow_slow, new, FAST_FINE_DERIVED, FAST_SMALL_DERIVED
	endfunction _ZnamRKSt9nothrow_t

/* A function that takes object rdi back. eax = its class by the page map. An object must start there: off * mul
 * mod 2^32 is below a bound exactly where one does (internal/sizeclass). On a span of one page off is the page
 * offset; all other classes, 0 included, have the bound 0 in FAST_STARTS and go on at 4, which looks the span's
 * first page up. Then the mark: an object that has it is suspected to be free already. Its upper half is compared
 * only: a load that is wider than the program's last store there would wait for that to reach the cache (4 cycles
 * and more a pair, measured where one byte had been written). \size: where rsi is the object's size in bytes, whose
 * class it must have: as malloc or as new finds it. That class, which is known before the object's address is, is the
 * one used: the next malloc's loads wait for the address of this free's stores (mixed sizes 7.6 -> 6.0 ns a pair). */
	.macro	release slow, size=none, limit=FAST_LIMIT
	lea	vcm_fast(%rip), %r10
	mov	%rdi, %r9
	sub	FAST_BASE(%r10), %r9
	cmp	\limit(%r10), %r9
	jae	8f
	shr	$PAGE_SHIFT, %r9
	mov	FAST_CLASSES(%r10), %rcx
	.ifc	\size, none
	movzbl	(%rcx,%r9), %eax
	.else
	movzbl	(%rcx,%r9), %ecx
	cmp	$FINE_MAX, %rsi
	ja	6f
	.ifc	\size, new
	lea	7(%rsi), %eax
	shr	$3, %eax
	movzbl	FAST_LOOKUP(%r10,%rax), %eax
	.else
	lea	15(%rsi), %eax
	shr	$4, %eax
	movzbl	FAST_LOOKUP(%r10,%rax,2), %eax
	.endif
5:	cmp	%ecx, %eax
	jne	8f
	.endif
	mov	%edi, %ecx
	and	$PAGE_MASK, %ecx
	imul	FAST_STARTS(%r10,%rax,8), %ecx
	cmp	FAST_STARTS+4(%r10,%rax,8), %ecx
	jae	4f
3:	mov	FAST_MARK(%r10), %rcx
	cmp	%ecx, 4(%rdi)
	je	8f
	mov	%rcx, (%rdi)
	registered 10f
	shl	$16, %rdi
	sequence .Lpush\@, .Lpushed\@, .Lrepush\@
	slab
	mov	(%rcx,%rax,8), %rsi
	movzwl	%si, %r11d
	cmp	SLAB_ENDS(%rcx,%rax,2), %si
	jae	9f
	mov	%rsi, (%rcx,%r11,8)
	lea	1(%rdi,%r11), %r11
	mov	%r11, (%rcx,%rax,8)
.Lpushed\@:
	ret
4:	test	%eax, %eax
	jz	8f
	mov	FAST_SPANIDS(%r10), %rdx
	mov	(%rdx,%r9,4), %edx
	shl	$SPAN_SHIFT, %rdx
	add	FAST_SPANS(%r10), %rdx
	sub	(%rdx), %r9d
	shl	$PAGE_SHIFT, %r9d
	mov	%edi, %ecx
	and	$PAGE_MASK, %ecx
	add	%r9d, %ecx
	imul	FAST_LONG_STARTS(%r10,%rax,8), %ecx
	cmp	FAST_LONG_STARTS+4(%r10,%rax,8), %ecx
	jb	3b
8:	jmp	\slow
	.ifnc	\size, none
6:	cmp	$MAX_SMALL, %rsi
	ja	8b
	lea	127(%rsi), %eax
	shr	$7, %eax
	movzbl	FAST_LOOKUP+COARSE_BIAS(%r10,%rax), %eax
	jmp	5b
	.endif
10:	call	vcm_give_locked
	test	%r11, %r11
	jnz	11f
	jmp	12f
9:	shr	$16, %rdi
12:	mov	%eax, %esi
	jmp	vcm_free_overflow
11:	ret
	.endm

	.p2align 6
	.globl	vcm_free
	.hidden	vcm_free
	.type	vcm_free, @function
	function free
vcm_free:
	release vcm_free_slow
	endfunction free
	.size	vcm_free, . - vcm_free

	.p2align 6
	function free_sized
	release vcm_free_sized_slow, malloc
	endfunction free_sized

	.p2align 6
	.globl	vcm_delete
	.hidden	vcm_delete
	.globl	_ZdlPvSt11align_val_t
	.type	_ZdlPvSt11align_val_t, @function
	.globl	vcm_delete_aligned
	.hidden	vcm_delete_aligned
	function _ZdlPv
vcm_delete:
_ZdlPvSt11align_val_t:
vcm_delete_aligned:
	release vcm_delete_slow
	endfunction _ZdlPv

	.p2align 6
	function _ZdaPv
	release vcm_delete_array_slow, none, FAST_LIMIT_DERIVED
	endfunction _ZdaPv

	.p2align 6
	function _ZdlPvm
	release vcm_delete_sized_slow, new, FAST_LIMIT_DERIVED
	endfunction _ZdlPvm

	.p2align 6
	function _ZdaPvm
	release vcm_delete_array_sized_slow, new, FAST_LIMIT_DERIVED
	endfunction _ZdaPvm

/* For threads that no restartable sequence serves. vcm_take_locked: rax = an object of class r9d, or 0.
 * vcm_give_locked: r11 = 1 if object rdi of class eax was taken back, or 0. They keep rdi and r10, and their class's
 * register. */
	.p2align 5
	hidden	vcm_take_locked
	lock_slab 2f
	mov	(%r11,%r9,8), %rax
	movzwl	%ax, %esi
	shr	$16, %rax
	test	$1, %al
	jz	1f
	xor	%eax, %eax
	jmp	3f
1:	mov	-8(%r11,%rsi,8), %rsi
	mov	%rsi, (%r11,%r9,8)
3:	unlock_slab
	ret
2:	xor	%eax, %eax
	ret
	endfunction vcm_take_locked

	.p2align 5
	hidden	vcm_give_locked
	mov	%eax, %r9d
	lock_slab 1f
	mov	(%r11,%r9,8), %rax
	movzwl	%ax, %esi
	cmp	SLAB_ENDS(%r11,%r9,2), %si
	jae	2f
	mov	%rax, (%r11,%rsi,8)
	mov	%rdi, %rax
	shl	$16, %rax
	lea	1(%rax,%rsi), %rax
	mov	%rax, (%r11,%r9,8)
	mov	$1, %r11d
	jmp	3f
2:	xor	%r11d, %r11d
3:	unlock_slab
	mov	%r9d, %eax
	ret
1:	xor	%r11d, %r11d
	mov	%r9d, %eax
	ret
	endfunction vcm_give_locked

	/* Wakes one thread that sleeps for lock rdx. Clobbers rcx, rdx, rsi only. */
	hidden	vcm_wake
	save	%rax
	save	%rdi
	save	%r10
	save	%r11
	mov	$SYS_futex, %eax
	mov	%rdx, %rdi
	mov	$FUTEX_WAKE_PRIVATE, %esi
	mov	$1, %edx
	syscall
	restore	%r11
	restore	%r10
	restore	%rdi
	restore	%rax
	ret
	endfunction vcm_wake

/* The sequences that Go's slow paths call (percpu.Sequences), by the C calling convention. */

	.p2align 5
	hidden	vcm_seq_vcpu
	lea	vcm_fast(%rip), %r10
	registered 1f
	mov	%fs:(%r8), %eax
	ret
1:	mov	$-1, %eax
	ret
	endfunction vcm_seq_vcpu

	/* (class): an object, or 0 */
	.p2align 5
	.globl	vcm_pop
	.hidden	vcm_pop
	.type	vcm_pop, @function
	hidden	vcm_seq_pop
vcm_pop:
	lea	vcm_fast(%rip), %r10
	mov	%edi, %r9d
	take	1f, 1f
	ret
1:	xor	%eax, %eax
	ret
	endfunction vcm_seq_pop

	/* (class, objects, n): pushes as many as fit, the first on top, and returns how many */
	.p2align 5
	hidden	vcm_seq_push
	save	%rbx
	save	%rbp
	save	%r12
	mov	%rdx, %rbx
	lea	vcm_fast(%rip), %r10
	registered 2f
	sequence .Lpushn, .Lpushedn, .Lrepushn, %rbx, %rbp, %r12
	slab
	mov	(%rcx,%rdi,8), %r12
	movzwl	%r12w, %r9d
	movzwl	SLAB_ENDS(%rcx,%rdi,2), %eax
	sub	%r9d, %eax
	jbe	2f
	cmp	%rbx, %rax
	cmova	%rbx, %rax
	mov	%rax, %rbp
1:	mov	%r12, (%rcx,%r9,8)
	inc	%r9d
	mov	-8(%rsi,%rbp,8), %r12
	shl	$16, %r12
	or	%r9, %r12
	dec	%rbp
	jnz	1b
	mov	%r12, (%rcx,%rdi,8)
.Lpushedn:
	jmp	3f
2:	xor	%eax, %eax
3:	restore	%r12
	restore	%rbp
	restore	%rbx
	ret
	endfunction vcm_seq_push

	/* (class, out, n): pops up to n objects and returns how many came */
	.p2align 5
	hidden	vcm_seq_popn
	save	%rbx
	save	%r12
	mov	%rdx, %rbx
	lea	vcm_fast(%rip), %r10
	registered 3f
	sequence .Lpopn, .Lpoppedn, .Lrepopn, %rbx, %r12
	slab
	mov	(%rcx,%rdi,8), %r12
	movzwl	%r12w, %r9d
	xor	%eax, %eax
1:	cmp	%rbx, %rax
	jae	2f
	mov	%r12, %r11
	shr	$16, %r11
	test	$1, %r11b
	jnz	2f
	mov	%r11, (%rsi,%rax,8)
	mov	-8(%rcx,%r9,8), %r12
	dec	%r9d
	inc	%eax
	jmp	1b
2:	test	%eax, %eax
	jz	4f
	mov	%r12, (%rcx,%rdi,8)
.Lpoppedn:
	jmp	4f
3:	xor	%eax, %eax
4:	restore	%r12
	restore	%rbx
	ret
	endfunction vcm_seq_popn

	/* (class, slab, old end, new end): 1 if changed, 0 if it was another or an object lies beyond */
	.p2align 5
	hidden	vcm_seq_end
	save	%rbx
	mov	%ecx, %ebx
	mov	%edx, %r11d
	lea	vcm_fast(%rip), %r10
	registered 1f
	sequence .Lend, .Lended, .Lreend, %rbx
	slab
	cmp	%rsi, %rcx
	jne	1f
	cmp	%r11w, SLAB_ENDS(%rcx,%rdi,2)
	jne	1f
	cmp	%bx, (%rcx,%rdi,8)
	ja	1f
	mov	%bx, SLAB_ENDS(%rcx,%rdi,2)
.Lended:
	mov	$1, %eax
	jmp	2f
1:	xor	%eax, %eax
2:	restore	%rbx
	ret
	endfunction vcm_seq_end

	/* (slab, other): puts other into the table where the slab is, if that is the current vCPU's; 1 if so */
	.p2align 5
	hidden	vcm_seq_swap
	lea	vcm_fast(%rip), %r10
	registered 1f
	sequence .Lswap, .Lswapped, .Lreswap
	mov	%fs:(%r8), %eax
	cmp	%rdi, FAST_BYTES(%r10,%rax,8)
	jne	1f
	mov	%rsi, FAST_BYTES(%r10,%rax,8)
.Lswapped:
	mov	$1, %eax
	ret
1:	xor	%eax, %eax
	ret
	endfunction vcm_seq_swap

	/* (fences, tries): the self-test. Another thread fences and counts. 0 if a whole fence began and ended while
	 * this sequence ran, and did not abort it; 1 if it was aborted; 2 if nothing was learnt. */
	.pushsection __rseq_cs, "aw", @progbits
	.balign	32
.Lcs_test:
	.long	0, 0
	.quad	.Ltest, .Ltested - .Ltest, .Ltest_aborted
	.popsection
	.p2align 5
	hidden	vcm_seq_test
	lea	vcm_fast(%rip), %r10
	registered 2f
	lea	.Lcs_test(%rip), %rcx
	mov	%rcx, %fs:RSEQ_CS(%rdx)
.Ltest:	mov	(%rdi), %r8d
1:	dec	%rsi
	jz	2f
	pause
	mov	(%rdi), %ecx
	sub	%r8d, %ecx
	cmp	$2, %ecx
	jb	1b
.Ltested:
	xor	%eax, %eax
	ret
2:	mov	$2, %eax
	ret
	.byte	0x0f, 0xb9, 0x3d
	.long	RSEQ_SIG
.Ltest_aborted:
	mov	$1, %eax
	ret
	endfunction vcm_seq_test

/* What the sequences read. */

	.bss
	.balign	4096		/* so that the first 376 slabs' addresses take no third page */
	.zero	BLOCK_AT
	.globl	vcm_fast
	.hidden	vcm_fast
	.type	vcm_fast, @object
	.size	vcm_fast, FAST_BYTES
	.globl	vcm_block
	.hidden	vcm_block
vcm_fast:
vcm_block:
	.zero	FAST_BYTES
	.globl	vcm_slabs
	.hidden	vcm_slabs
	.type	vcm_slabs, @object
vcm_slabs:
	.zero	8192 * 8
	.size	vcm_slabs, . - vcm_slabs

	/* The empty slab: every header has an odd top and an index whose slot can be read, and every end is 0. Nobody
	 * writes here. */
	.section .rodata
	.balign	64
	.globl	vcm_empty
	.hidden	vcm_empty
	.type	vcm_empty, @object
vcm_empty:
	.rept	SLAB_ENDS / 8
	.quad	1 << 16 | 1
	.endr
	.zero	SLAB_ENDS / 4
	.size	vcm_empty, . - vcm_empty

	.section .tdata, "awT", @progbits
	.balign	32
	.globl	vcm_rseq
	.hidden	vcm_rseq
	.type	vcm_rseq, @object
vcm_rseq:
	.long	0, -1		/* cpu_id_start, cpu_id: not registered */
	.zero	24
	.size	vcm_rseq, . - vcm_rseq

	.section .note.GNU-stack, "", @progbits
