//go:build !race

#include "funcdata.h"
#include "go_asm.h"
#include "textflag.h"

// Malloc and Free while the P's cache serves: without a pin, without a call. See fast.go for why nobody else gets
// onto the P meanwhile, and percpu/doc.go for what is stored in which order.
//
// They are called through function values, with arguments and results in registers, as compiled Go calls compiled Go:
// g in R14, R15 and X15 untouched, all else free. What they can't serve they leave to a Go function of the same
// signature, by a jump, with the registers as they came: to it, it looks as if their caller had called it.

#define RECORD_INSIDE 8
#define RECORD_STASH 16

// WALK makes R10 the number of the P; OWNER makes DX its record, and says that it is being used. The walk comes first
// in each function: nothing else takes as long, load by load, and the processor does the rest meanwhile.
#define WALK \
	MOVQ const_walkM(R14), R10 \
	MOVQ const_walkP(R10), R10 \
	MOVL const_walkID(R10), R10

#define OWNER(none) \
	CMPQ R10, doorState_ps(R8) \
	JAE  none \
	SHLQ $const_recordShift, R10 \
	MOVQ doorState_records(R8), DX \
	ADDQ R10, DX \
	MOVL $1, RECORD_INSIDE(DX)

#define UNSAFE -2 // abi.UnsafePointUnsafe: for debuggers, which look at nothing else before they inject a call

// func(size uintptr) (unsafe.Pointer, error)
TEXT ·mallocFast(SB), NOSPLIT|NOFRAME, $0-0
	PCDATA $PCDATA_UnsafePoint, $UNSAFE
	WALK
	LEAQ ·door(SB), R8
	CMPQ AX, doorState_fine(R8)
	JAE  coarse
	LEAL 15(AX), CX
	SHRL $const_mallocShift, CX
	MOVBLZX doorState_lookup(R8)(CX*2), CX
class:
	OWNER(slow)
	MOVQ (DX), SI
	MOVQ (SI)(CX*8), R9
	MOVWLZX R9, DI
	SHRQ $16, R9
	TESTB $1, R9
	JNE  empty
	MOVQ -8(SI)(DI*8), DI
	MOVQ DI, (SI)(CX*8)
	MOVL $0, RECORD_INSIDE(DX)
	MOVQ $0, (R9) // the mark of a free object
	MOVQ R9, AX
	XORL BX, BX
	XORL CX, CX
	RET
coarse:
	CMPQ AX, doorState_small(R8)
	JAE  large
	LEAL 127(AX), CX
	SHRL $const_coarseShift, CX
	MOVBLZX (doorState_lookup+const_coarseBias)(R8)(CX*1), CX
	JMP  class
large:
	CMPQ AX, doorState_large(R8)
	JAE  slow
	LEAQ const_pageMask(AX), CX
	SHRQ $const_pageShift, CX
	OWNER(slow)
	JMP  stash
empty:
	MOVBLZX doorState_whole(R8)(CX*1), CX
	TESTL CX, CX
	JEQ  leave
stash: // CX pages. Only the youngest object is looked at
	MOVQ RECORD_STASH(DX), SI
	MOVL stash_top(SI), DI
	MOVQ (stash_entries-8)(SI)(DI*8), R9
	SUBQ CX, R9 // its address, if it has as many
	TESTL $const_pageMask, R9
	JNE  leave
	DECL DI
	SHLQ $const_pageShift, CX
	SUBQ CX, stash_bytes(SI)
	MOVL DI, stash_top(SI)
	CMPL DI, stash_low(SI)
	JCC  popped
	MOVL DI, stash_low(SI)
popped:
	MOVL $0, RECORD_INSIDE(DX)
	MOVQ $0, (R9)
	MOVQ R9, AX
	XORL BX, BX
	XORL CX, CX
	RET
leave:
	MOVL $0, RECORD_INSIDE(DX)
slow:
	MOVQ doorState_mallocSlow(R8), CX
	JMP  CX

// func(p unsafe.Pointer)
TEXT ·freeFast(SB), NOSPLIT|NOFRAME, $0-0
	PCDATA $PCDATA_UnsafePoint, $UNSAFE
	WALK
	LEAQ ·door(SB), R8
	MOVQ AX, R9
	SUBQ doorState_base(R8), R9
	CMPQ R9, doorState_grown(R8)
	JAE  slow
	SHRQ $const_pageShift, R9
	MOVQ doorState_classes(R8), CX
	MOVBLZX (CX)(R9*1), CX
	MOVL AX, DX
	ANDL $const_pageMask, DX
	IMULL doorState_starts(R8)(CX*8), DX
	CMPL DX, (doorState_starts+4)(R8)(CX*8)
	JAE  long
starts:
	MOVQ doorState_mark(R8), BX
	CMPL BX, 4(AX)
	JEQ  slow
	MOVQ BX, (AX) // a second free will see it
	OWNER(marked)
	MOVQ (DX), SI
	MOVQ (SI)(CX*8), R9
	MOVWLZX R9, DI
	CMPW DI, const_endsAt(SI)(CX*2)
	JCC  full
	MOVQ R9, (SI)(DI*8)
	MOVQ AX, R9
	SHLQ $16, R9
	LEAQ 1(R9)(DI*1), R9
	MOVQ R9, (SI)(CX*8)
	MOVL $0, RECORD_INSIDE(DX)
	RET
full:
	MOVBLZX doorState_whole(R8)(CX*1), R9
	TESTL R9, R9
	JEQ  leave
stash: // R9 pages
	MOVQ RECORD_STASH(DX), SI
	MOVQ R9, CX
	SHLQ $const_pageShift, CX
	ADDQ stash_bytes(SI), CX
	CMPQ CX, stash_limit(SI)
	JHI  leave
	MOVL stash_top(SI), DI
	CMPL DI, $const_stashEntries
	JAE  leave
	MOVQ CX, stash_bytes(SI)
	ORQ  AX, R9
	MOVQ R9, stash_entries(SI)(DI*8)
	INCL DI
	MOVL DI, stash_top(SI)
	MOVQ BX, (AX)
	MOVL $0, RECORD_INSIDE(DX)
	RET
leave:
	MOVL $0, RECORD_INSIDE(DX)
marked:
	MOVQ doorState_freeMarked(R8), CX
	JMP  CX
long: // no object starts here, unless its span has several pages; no span of these is in starts
	MOVQ doorState_spanIDs(R8), DX
	MOVL (DX)(R9*4), DX
	SHLQ $const_spanShift, DX
	ADDQ doorState_spans(R8), DX
	SUBL (DX), R9
	SHLL $const_pageShift, R9
	MOVL AX, SI
	ANDL $const_pageMask, SI
	ORL  R9, SI
	MOVL doorState_divides(R8)(CX*8), DI
	IMULL SI, DI
	CMPL DI, (doorState_divides+4)(R8)(CX*8)
	JCS  starts
	ORL  CX, SI // 0 for what has no class and is the start of its span: a large object, or no span
	JNE  slow
	CMPB const_spanHint(DX), $0 // such objects lie among their like
	JNE  slow
	MOVL const_spanPages(DX), R9
	MOVQ R9, CX
	SHLQ $const_pageShift, CX
	CMPQ CX, doorState_stashed(R8)
	JAE  slow
	CMPQ CX, $const_maxSmall
	JLS  slow
	MOVQ doorState_mark(R8), BX
	CMPL BX, 4(AX)
	JEQ  slow
	OWNER(slow)
	JMP  stash
slow:
	MOVQ doorState_freeSlow(R8), CX
	JMP  CX

// func fastCode() (malloc, free uintptr)
TEXT ·fastCode(SB), NOSPLIT, $0-16
	LEAQ ·mallocFast(SB), AX
	MOVQ AX, malloc+0(FP)
	LEAQ ·freeFast(SB), AX
	MOVQ AX, free+8(FP)
	RET

// func procNumber() uintptr
TEXT ·procNumber(SB), NOSPLIT, $0-8
	MOVQ (TLS), R10
	MOVQ const_walkM(R10), R10
	MOVQ const_walkP(R10), R10
	MOVL const_walkID(R10), R10
	MOVQ R10, ret+0(FP)
	RET
