#include "client/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/text.h"
#include "proto/error.h"

ssize_t proc_read(int dir, const char *path, char *out, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		return -1;
	}
	n = read(fd, out, size - 1);
	close(fd);
	if (n >= 0) {
		out[n] = '\0';
	}
	return n;
}

/* The line is "pid (name) state ppid ...", and the name may hold anything, ')' included. Fields count from the last
 * ')': state is number 3 of proc(5), which makes the n-th field the (n - 3)-th here. */
static bool parse_stat(const char *line, struct proc_stat *out)
{
	const char *s = strrchr(line, ')');
	uint64_t field[22] = {0};
	unsigned i;

	if (s == NULL || s[1] != ' ' || s[2] == '\0') {
		return false;
	}
	out->state = s[2];
	s += 3;
	for (i = 1; i < 22 && *s == ' '; i++) {
		s += 1 + (s[1] == '-');
		field[i] = text_parse_num(&s);
	}
	if (i < 22) {
		return false;
	}
	out->parent = (pid_t)field[1];
	out->user_ticks = field[11] + field[13];
	out->system_ticks = field[12] + field[14];
	out->start = field[19];
	out->rss_pages = field[21];
	return true;
}

int proc_stat(pid_t pid, struct proc_stat *out)
{
	struct text path = {0};
	struct proc_stat found;
	char line[PROC_FILE_MAX];

	text_str(&path, "/proc/");
	text_num(&path, (uint64_t)pid);
	text_str(&path, "/stat");
	if (pid <= 0 || proc_read(AT_FDCWD, path.at, line, sizeof(line)) <= 0 || !parse_stat(line, &found)) {
		return ERR_NOTFOUND;
	}
	*out = found;
	return 0;
}

bool proc_alive(pid_t pid, uint64_t start)
{
	struct proc_stat s;

	return proc_stat(pid, &s) == 0 && s.start == start && s.state != 'Z' && s.state != 'X';
}

int proc_boot_id(char out[BOOT_ID_TEXT])
{
	char text[BOOT_ID_TEXT + 1];

	if (proc_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text)) < BOOT_ID_TEXT - 1) {
		return ERR_IO;
	}
	memcpy(out, text, BOOT_ID_TEXT - 1);
	out[BOOT_ID_TEXT - 1] = '\0';
	return 0;
}

bool proc_each_pid(int dir, const char *path, bool (*each)(void *ctx, pid_t pid), void *ctx)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	char piece[512];
	bool in_number = false;
	pid_t pid = 0;
	ssize_t n;
	ssize_t i;

	if (fd < 0) {
		return false;
	}
	while ((n = read(fd, piece, sizeof(piece))) > 0) {
		for (i = 0; i < n; i++) {
			if (piece[i] >= '0' && piece[i] <= '9') {
				pid = (in_number ? pid * 10 : 0) + (piece[i] - '0');
				in_number = true;
			} else if (in_number) {
				in_number = false;
				if (!each(ctx, pid)) {
					close(fd);
					return true;
				}
			}
		}
	}
	close(fd);
	if (in_number) {
		each(ctx, pid);
	}
	return n == 0;
}

/* A descriptor of the process holds on to it, so that the number cannot change hands between look and signal. */
static int open_verified(pid_t pid, uint64_t start, int first_signal)
{
	int fd = pid <= 0 || start == 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0) {
		return -1;
	}
	if (!proc_alive(pid, start) || syscall(SYS_pidfd_send_signal, fd, first_signal, NULL, 0) != 0 ||
	    !proc_alive(pid, start)) {
		close(fd);
		return -1;
	}
	return fd;
}

bool proc_kill_group(pid_t pid, uint64_t start)
{
	int fd = open_verified(pid, start, SIGSTOP);

	if (fd < 0) {
		return false;
	}
	if (getpgid(pid) == pid) {
		kill(-pid, SIGKILL);
	}
	syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	close(fd);
	return true;
}

bool proc_signal(pid_t pid, uint64_t start, int signal)
{
	int fd = open_verified(pid, start, 0);
	bool sent;

	if (fd < 0) {
		return false;
	}
	sent = syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
	close(fd);
	return sent;
}
