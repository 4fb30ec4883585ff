/* The service that is supervised: it writes the time of its first instruction and its pid to the
 * file named as its argument, or to `stamp`, and sleeps. It has no C library, whose start takes
 * longer than much of what is measured. */
#ifndef __x86_64__
#error "the bench's service is written for x86-64"
#endif
#include <asm/unistd.h>
#include <fcntl.h>
#include <time.h>

static long call(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

static char *decimal(char *end, unsigned long value)
{
	do
		*--end = '0' + value % 10;
	while (value /= 10);
	return end;
}

__attribute__((used)) void service(long *stack)
{
	struct timespec now;
	call(__NR_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
	char *file = "stamp";
	/* s6 gives a service its name; only a path is meant. */
	for (char *at = stack[0] > 1 ? (char *)stack[2] : ""; *at; at++)
		if (*at == '/')
			file = (char *)stack[2];
	char fresh[4096], text[64], *end = text + sizeof text;
	int length = 0;
	for (; file[length]; length++)
		fresh[length] = file[length];
	fresh[length] = '+';
	fresh[length + 1] = 0;
	char *start = decimal(end, call(__NR_getpid, 0, 0, 0));
	*--start = ' ';
	start = decimal(start, now.tv_sec * 1000000000UL + now.tv_nsec);
	int fd = call(__NR_open, (long)fresh, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	call(__NR_write, fd, (long)start, end - start);
	call(__NR_close, fd, 0, 0);
	call(__NR_rename, (long)fresh, (long)file, 0);
	for (;;)
		call(__NR_pause, 0, 0, 0);
}

__asm__(".globl _start\n"
	"_start: mov %rsp, %rdi\n"
	" and $-16, %rsp\n"
	" call service\n");
