// Every entry point keeps the registers the ABI says it keeps (RBX, RBP,
// R12-R15) and the direction flag, and works with the stack aligned as the ABI
// has it. Long doubles on the x87 stack survive in memory; MMX is not used.
#include "check.h"
static uint64_t call(void *f, uint64_t a, uint64_t b, uint64_t c) {
  uint64_t ret, bad;
  __asm__ volatile(
      "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n"
      "mov %%rsp, %%rbx; sub $136, %%rsp; and $-16, %%rsp; push %%rbx; sub $8, %%rsp\n"
      "mov $0x1111111111111111, %%rbx; mov $0x2222222222222222, %%rbp; mov $0x3333333333333333, %%r12\n"
      "mov $0x4444444444444444, %%r13; mov $0x5555555555555555, %%r14; mov $0x6666666666666666, %%r15\n"
      "call *%%rax\n"
      "xor %%ecx, %%ecx\n"
      "mov $0x1111111111111111, %%rdx; cmp %%rdx, %%rbx; setne %%cl; mov %%ecx, %%edi\n"
      "mov $0x2222222222222222, %%rdx; cmp %%rdx, %%rbp; setne %%cl; or %%ecx, %%edi\n"
      "mov $0x3333333333333333, %%rdx; cmp %%rdx, %%r12; setne %%cl; or %%ecx, %%edi\n"
      "mov $0x4444444444444444, %%rdx; cmp %%rdx, %%r13; setne %%cl; or %%ecx, %%edi\n"
      "mov $0x5555555555555555, %%rdx; cmp %%rdx, %%r14; setne %%cl; or %%ecx, %%edi\n"
      "mov $0x6666666666666666, %%rdx; cmp %%rdx, %%r15; setne %%cl; or %%ecx, %%edi\n"
      "pushf; pop %%rdx; and $0x400, %%edx; or %%edx, %%edi\n"
      "add $8, %%rsp; pop %%rsp\n"
      "pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
      : "=a"(ret), "=D"(bad), "+S"(b), "+d"(c)
      : "0"(f), "1"(a)
      : "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
        "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  CHECKF(bad == 0, "a register or the direction flag changed (%#zx)", (size_t)bad);
  return ret;
}
#define FN(f) ((void *)(uintptr_t)(f))
int main(void) {
  for (int round = 0; round < 50; round++)
    for (int i = 0; i < NSIZES; i++) {
      uint64_t n = SIZES[i], p = call(FN(malloc), n, 0, 0);
      CHECK(p != 0);
      p = call(FN(realloc), p, n * 2 + 1, 0);
      CHECK(p != 0);
      CHECK(call(FN(malloc_usable_size), p, 0, 0) >= n);
      call(FN(free), p, 0, 0);
      p = call(FN(calloc), n, 2, 0);
      CHECK(p != 0);
      call(FN(free), p, 0, 0);
      p = call(FN(memalign), 4096, n, 0);
      CHECK(p != 0);
      call(FN(free), p, 0, 0);
      p = 0;
      CHECK((int)call(FN(posix_memalign), (uint64_t)(uintptr_t)&p, 64, n) == 0);
      call(FN(free), p, 0, 0);
    }
  call(FN(malloc_trim), 0, 0, 0);
  return ok();
}
