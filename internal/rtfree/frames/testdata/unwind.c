/* Unwinds from signal handlers that interrupt the allocator, and checks that the unwinder arrives at the caller
 * with the caller's stack pointer and registers.
 *
 *	unwind step OPS FILE	single-steps through OPS operations; the places visited go to FILE
 *	unwind storm SAMPLES	is interrupted by a timer until SAMPLES interrupts hit the library
 *	unwind call OFFSET PAD	single-steps through the assembly function at malloc + OFFSET, called with PAD bytes
 *				more on the stack and a C function as its argument there
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define TRAP_FLAG 0x100

void free_sized(void *p, size_t size) __attribute__((weak));
void vcmalloc_background(void) __attribute__((weak));

/* marked_call(f, a, b) calls f(a, b) with a known value in every register that f must preserve, RBP too: what an
 * unwinder must find there. framed_call(f, pad) stands for a Go function with a frame pointer, which calls f(nothing)
 * as Go assembly is called: the argument is on the stack, and no register is preserved. */
long marked_call(void *f, long a, long b);
long framed_call(void *f, long pad);
extern char marked_return[], nothing[], nothing_end[];
volatile uintptr_t marked_sp;
__asm__(
	".macro save reg\n"
	"	push %\\reg\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_rel_offset \\reg, 0\n"
	".endm\n"
	".macro restore reg\n"
	"	pop %\\reg\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_restore \\reg\n"
	".endm\n"
	"	.text\n"
	"	.globl marked_call, marked_return, framed_call, nothing, nothing_end\n"
	"marked_call:\n"
	"	.cfi_startproc\n"
	"	save rbp\n	save rbx\n	save r12\n	save r13\n	save r14\n	save r15\n"
	"	sub $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	mov %rsp, marked_sp(%rip)\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov $0x5003, %ebx\n	mov $0x5006, %ebp\n	mov $0x500c, %r12d\n"
	"	mov $0x500d, %r13d\n	mov $0x500e, %r14d\n	mov $0x500f, %r15d\n"
	"	call *%rax\n"
	"marked_return:\n"
	"	add $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	restore r15\n	restore r14\n	restore r13\n	restore r12\n	restore rbx\n	restore rbp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"framed_call:\n"
	"	.cfi_startproc\n"
	"	save rbp\n"
	"	mov %rsp, %rbp\n"
	"	.cfi_def_cfa_register rbp\n"
	"	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	.cfi_offset rbx, -24\n	.cfi_offset r12, -32\n	.cfi_offset r13, -40\n	.cfi_offset r14, -48\n	.cfi_offset r15, -56\n"
	"	sub %rsi, %rsp\n"
	"	lea nothing(%rip), %rax\n"
	"	mov %rax, (%rsp)\n"
	"	call *%rdi\n"
	"	lea -40(%rbp), %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n"
	"	.cfi_restore rbx\n	.cfi_restore r12\n	.cfi_restore r13\n	.cfi_restore r14\n	.cfi_restore r15\n"
	"	pop %rbp\n"
	"	.cfi_def_cfa rsp, 8\n	.cfi_restore rbp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"nothing:\n"
	"	.cfi_startproc\n"
	"	nop\n	ret\n"
	"nothing_end:\n"
	"	.cfi_endproc\n");

static uintptr_t text, text_end;	/* of the library */
static uintptr_t base;
static unsigned char visits[4 << 20];
static volatile long samples, checked;
static int failures;

/* glibc's printf may allocate. */
static void say(const char *what, uintptr_t a, uintptr_t b)
{
	char line[160];
	int n = snprintf(line, sizeof line, "%s: library+%#lx, %#lx\n", what, a, b);
	if (write(2, line, n) < 0)
		_exit(3);
}

struct search {
	uintptr_t pc;
	int found, depth;
};

static _Unwind_Reason_Code look(struct _Unwind_Context *c, void *arg)
{
	static const struct { int reg; uintptr_t value; } want[] = {
		{3, 0x5003}, {6, 0x5006}, {12, 0x500c}, {13, 0x500d}, {14, 0x500e}, {15, 0x500f}};
	struct search *s = arg;
	if (_Unwind_GetIP(c) != (uintptr_t)marked_return)
		return ++s->depth < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
	s->found = 1;
	if (_Unwind_GetCFA(c) != marked_sp)
		failures++, say("wrong stack pointer", s->pc - base, _Unwind_GetCFA(c) - marked_sp);
	for (unsigned i = 0; i < sizeof want / sizeof *want; i++)
		if ((uintptr_t)_Unwind_GetGR(c, want[i].reg) != want[i].value)
			failures++, say("wrong register", s->pc - base, want[i].reg);
	return _URC_NORMAL_STOP;
}

static void check(uintptr_t pc)
{
	struct search s = {.pc = pc};
	_Unwind_Backtrace(look, &s);
	checked++;
	if (!s.found)
		failures++, say("the caller is not found", pc - base, s.depth);
	if (failures > 20)
		_exit(1);
}

static uintptr_t pc_of(void *context)
{
	return ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

/* Each place is looked at on its first visits, with their different callers, and then now and then. */
static void on_step(int sig, siginfo_t *info, void *context)
{
	uintptr_t pc = pc_of(context);
	(void)sig, (void)info;
	samples++;
	if (pc >= (uintptr_t)nothing && pc < (uintptr_t)nothing_end)
		check(pc);
	if (pc < text || pc >= text_end)
		return;
	unsigned char *n = &visits[pc - text];
	if ((*n = *n == 255 ? 128 : *n + 1) <= 16 || *n % 64 == 0)
		check(pc);
}

static void on_timer(int sig, siginfo_t *info, void *context)
{
	uintptr_t pc = pc_of(context);
	(void)sig, (void)info;
	samples++;
	if (pc >= text && pc < text_end)
		check(pc);
}

static void on_abort(int sig)
{
	(void)sig;
	check(text);
	say("aborted", samples, checked);
	_exit(failures != 0);
}

static void stepping(int on)
{
	if (on)
		__asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n orq %0, (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" ::"i"(TRAP_FLAG) : "memory", "cc");
	else
		__asm__ volatile("lea -128(%%rsp), %%rsp\n pushfq\n andq %0, (%%rsp)\n popfq\n lea 128(%%rsp), %%rsp" ::"i"(~TRAP_FLAG) : "memory", "cc");
}

static uint64_t seed = 88172645463325252;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (seed >> 20) % n;
}

static size_t some_size(void)
{
	switch (rnd(8)) {
	case 0:
		return 1 + rnd(1 << 16);
	case 1:
		return 1 + rnd(1 << 19);
	case 2:
		return 1 + rnd(1 << 22);
	default:
		return 1 + rnd(2048);
	}
}

#define SLOTS 512
static struct { void *p; size_t size; } slots[SLOTS];

static void drop(int i)
{
	if (free_sized && slots[i].p && rnd(2))
		marked_call(free_sized, (long)slots[i].p, slots[i].size);
	else
		marked_call(free, (long)slots[i].p, 0);
	slots[i].p = NULL;
}

static void put(int i, long p, size_t size)
{
	if (p == 0)
		abort();
	slots[i].p = (void *)p, slots[i].size = size;
	memset(slots[i].p, 7, size < 64 ? size : 64);
}

/* One operation. Several objects of one size at a time empty and overflow the caches behind the fast path. */
static void operate(void)
{
	int i = rnd(SLOTS), n = rnd(16);
	size_t size = some_size();
	switch (rnd(12)) {
	case 0: case 1: case 2:
		if (size < 4096)
			for (n *= 2; n > 0; n--, i = (i + 1) % SLOTS) {
				drop(i);
				put(i, marked_call(malloc, size, 0), size);
			}
		drop(i);
		put(i, marked_call(malloc, size, 0), size);
		break;
	case 3: case 4: case 5:
		for (n *= 2; n > 0; n--)
			drop(i = (i + 1) % SLOTS);
		break;
	case 6: case 7:
		if (size > 1 << 17 && slots[i].size > 1 << 17 && rnd(4))
			size >>= 6; /* copying is dear step by step */
		put(i, marked_call(realloc, (long)slots[i].p, size), size);
		break;
	case 8:
		drop(i);
		size = 1 + size / 8;
		put(i, marked_call(calloc, 1, size), size);
		break;
	case 9: case 10:
		drop(i);
		put(i, marked_call(memalign, 16 << rnd(13), size), size);
		marked_call(free, (long)slots[i].p, 0); /* of an aligned block free_sized would be wrong */
		slots[i].p = NULL;
		break;
	case 11:
		marked_call(malloc_usable_size, (long)slots[i].p, 0);
		if (rnd(16) == 0)
			marked_call(malloc_trim, rnd(1 << 20), 0);
		break;
	}
}

static void handle(int sig, void *handler)
{
	struct sigaction a = {.sa_flags = SA_SIGINFO | SA_RESTART};
	a.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
	sigaction(sig, &a, NULL);
}

static int find(struct dl_phdr_info *o, size_t size, void *arg)
{
	(void)size;
	for (int i = 0; i < o->dlpi_phnum; i++) {
		uintptr_t from = o->dlpi_addr + o->dlpi_phdr[i].p_vaddr, to = from + o->dlpi_phdr[i].p_memsz;
		if (o->dlpi_phdr[i].p_type == PT_LOAD && o->dlpi_phdr[i].p_flags & PF_X && from <= (uintptr_t)arg && (uintptr_t)arg < to)
			base = o->dlpi_addr, text = from, text_end = to;
	}
	return 0;
}

static int step(long ops, const char *file)
{
	handle(SIGTRAP, on_step);
	stepping(1);
	for (long i = 0; i < ops; i++)
		operate();
	if (vcmalloc_background)
		marked_call(vcmalloc_background, 0, 0);
	pid_t child = marked_call(fork, 0, 0); /* the flag is inherited, and so the child steps as well */
	for (long i = 0; i < ops / 8; i++)
		operate();
	for (int i = 0; i < SLOTS; i++)
		drop(i);
	stepping(0);
	if (child == 0)
		_exit(failures != 0);
	int status;
	if (waitpid(child, &status, 0) != child || status != 0)
		failures++, say("the child failed", 0, status);
	FILE *f = fopen(file, "w");
	for (uintptr_t pc = text; f && pc < text_end; pc++)
		if (visits[pc - text])
			fprintf(f, "%lx\n", pc - base);
	return f == NULL || fclose(f);
}

static void storm(long want)
{
	struct itimerval every = {{0, 100}, {0, 100}};
	handle(SIGALRM, on_timer);
	setitimer(ITIMER_REAL, &every, NULL);
	time_t end = time(NULL) + 60;
	while (checked < want && time(NULL) < end)
		operate();
	memset(&every, 0, sizeof every);
	setitimer(ITIMER_REAL, &every, NULL);
}

int main(int argc, char **argv)
{
	struct search prime = {0};
	if (argc < 3)
		return 2;
	_Unwind_Backtrace(look, &prime);
	dl_iterate_phdr(find, dlsym(RTLD_DEFAULT, "malloc"));
	if (text == 0 || text_end - text > sizeof visits)
		return 2;
	free(malloc(3 << 20));
	if (!strcmp(argv[1], "step")) {
		if (step(atol(argv[2]), argv[3]))
			return 2;
	} else if (!strcmp(argv[1], "storm")) {
		storm(atol(argv[2]));
	} else {
		handle(SIGABRT, on_abort);
		handle(SIGTRAP, on_step);
		uintptr_t target = (uintptr_t)dlsym(RTLD_DEFAULT, "malloc") + strtol(argv[2], NULL, 0);
		stepping(1);
		marked_call(framed_call, target, atol(argv[3]));
		stepping(0);
	}
	printf("%ld interrupts, %ld unwound\n", samples, checked);
	return failures != 0;
}
