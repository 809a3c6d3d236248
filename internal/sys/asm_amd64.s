#include "textflag.h"

// func pause(n uint32)
TEXT ·pause(SB), NOSPLIT, $0-4
	MOVL n+0(FP), CX
again:
	PAUSE
	SUBL $1, CX
	JNZ again
	RET

// func CallC(fn, a, b, c, d uintptr) uintptr
// The C function runs on the caller's stack, aligned as its ABI wants. The generated wrapper restores g
// from thread-local storage afterwards, which is why the C entry stores it there.
TEXT ·CallC(SB), NOSPLIT, $16-48
	MOVQ fn+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ d+32(FP), CX
	MOVQ SP, BX
	ANDQ $~15, SP
	CALL AX
	MOVQ BX, SP
	MOVQ AX, ret+40(FP)
	RET

// func PanicStub()
// The library's build overwrites the entry of the runtime's panic functions with a jump to here, so that a
// failed bounds check in the core ends in our one line. The word at 0(SP) is the return address of the
// failed check.
TEXT ·PanicStub(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 0(SP), AX
	SUBQ $24, SP
	ANDQ $~15, SP
	MOVQ AX, 0(SP)
	CALL ·internalError(SB)
	INT $3

// func CurrentCPU() int32
// The segment limit of the kernel's per-CPU descriptor holds node<<12 | cpu; the vDSO's getcpu reads the
// same one where RDPID is missing. -1 if the descriptor is not there (an emulator).
TEXT ·CurrentCPU(SB), NOSPLIT, $0-4
	MOVL $0x7b, AX
	LSLL AX, CX
	JNZ none
	ANDL $0xfff, CX
	MOVL CX, ret+0(FP)
	RET
none:
	MOVL $-1, ret+0(FP)
	RET
