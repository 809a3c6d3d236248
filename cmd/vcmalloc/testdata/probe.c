/* Allocates, forks a child that allocates as well, and comes to rest until standard input ends; then both end
 * in the regular way. Prints "parent PID" and "child PID" when they rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OBJECTS = 20000, LARGE = 3 << 20 };
static void *held[OBJECTS];

static void work(void)
{
	for (int i = 0; i < OBJECTS; i++) {
		size_t n = 16 + (size_t)i * 7 % 3000;
		held[i] = malloc(n);
		if (!held[i])
			abort();
		memset(held[i], i, n);
	}
	for (int i = 0; i < OBJECTS; i += 2)
		free(held[i]);
}

static void rest(const char *who)
{
	char line[64], c;
	int n = snprintf(line, sizeof line, "%s %d\n", who, getpid());
	if (write(1, line, n) != n)
		abort();
	while (read(0, &c, 1) > 0)
		;
}

int main(void)
{
	work();
	void *large = malloc(LARGE);
	memset(large, 1, LARGE);
	pid_t child = fork();
	if (child == 0) {
		work();
		rest("child");
		return 0;
	}
	rest("parent");
	int status;
	if (waitpid(child, &status, 0) != child || status != 0)
		return 3;
	free(large);
	return 42;
}
