#include "client/artifact_git.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "proto/error.h"

enum { WORDS_MAX = 24, ENV_MAX = 12, LOOK_MS = 100, TIMEOUT_S = 1800, URL_MAX = 2048, USER_MAX = 512 };

/* ---- who asks ---- */

/* A URL's user and password: everyone on the machine sees a program's arguments, and a clone keeps its URL, so git is
 * given the URL without them, and them in its environment, as a header for just this host. */
struct git_login {
	char url[URL_MAX]; /* Without them. */
	bool given;
	char key[32 + URL_MAX];
	char value[64 + USER_MAX * 2];
};

static int hex_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* %xx decoded; the length, or -1: too long. */
static int decode(const char *at, size_t n, unsigned char out[USER_MAX])
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++, len++) {
		bool coded = at[i] == '%' && i + 2 < n && hex_of(at[i + 1]) >= 0 && hex_of(at[i + 2]) >= 0;

		if (len == USER_MAX) {
			return -1;
		}
		out[len] = (unsigned char)(coded ? hex_of(at[i + 1]) * 16 + hex_of(at[i + 2]) : at[i]);
		i += coded ? 2 : 0;
	}
	return (int)len;
}

/* Only of http and https; ssh has no password. False: something is too long. */
static bool find_login(const char *url, struct git_login *out)
{
	size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
	const char *host = url + scheme;
	const char *path = host + strcspn(host, "/?#");
	const char *at = scheme > 0 ? memrchr(host, '@', (size_t)(path - host)) : NULL;
	unsigned char user[USER_MAX];
	unsigned char text[USER_MAX / 3 * 4 + 8];
	int n;

	*out = (struct git_login){0};
	if (at == NULL) {
		return snprintf(out->url, sizeof(out->url), "%s", url) < (int)sizeof(out->url);
	}
	n = decode(host, (size_t)(at - host), user);
	if (n < 0 || snprintf(out->url, sizeof(out->url), "%.*s%s", (int)scheme, url, at + 1) >= (int)sizeof(out->url)) {
		return false;
	}
	(void)EVP_EncodeBlock(text, user, n);
	snprintf(out->key, sizeof(out->key), "GIT_CONFIG_KEY_0=http.%.*s%.*s/.extraHeader", (int)scheme, url,
		 (int)(path - at - 1), at + 1);
	snprintf(out->value, sizeof(out->value), "GIT_CONFIG_VALUE_0=Authorization: Basic %s", (const char *)text);
	out->given = true;
	OPENSSL_cleanse(user, sizeof(user));
	OPENSSL_cleanse(text, sizeof(text));
	return true;
}

/* ---- one run of git ---- */

struct git_run {
	const struct git_args *args;
	const struct git_login *login;
	const char *words[WORDS_MAX];
	unsigned n;
	char said[GIT_WHY]; /* The last that fits, of what it says about a failure. */
};

static void word(struct git_run *g, const char *w)
{
	if (g->n < WORDS_MAX - 1) {
		g->words[g->n++] = w;
		g->words[g->n] = NULL;
	}
}

/* Nothing of a repository's, of the machine's or of the agent's own settings makes it run other programs or ask. */
static void begin(struct git_run *g, const struct git_args *args, const struct git_login *login)
{
	*g = (struct git_run){.args = args, .login = login};
	word(g, "git");
	word(g, "-c");
	word(g, "core.hooksPath=/dev/null");
	word(g, "-c");
	word(g, "core.fsmonitor=false");
	word(g, "-c");
	word(g, "protocol.ext.allow=never");
	word(g, "-c");
	word(g, "advice.detachedHead=false");
}

static int spawn_git(struct git_run *g, int say, pid_t *pid)
{
	const char *env[ENV_MAX] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent",         "LC_ALL=C",
				    "GIT_TERMINAL_PROMPT=0",             "GIT_CONFIG_NOSYSTEM=1",     "GIT_CONFIG_GLOBAL=/dev/null",
				    "GIT_SSH_COMMAND=ssh -oBatchMode=yes"};
	unsigned n_env = 7;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	if (g->login->given) {
		env[n_env++] = "GIT_CONFIG_COUNT=1";
		env[n_env++] = g->login->key;
		env[n_env++] = g->login->value;
	}
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&files, 0, 1);
	posix_spawn_file_actions_adddup2(&files, say, 2);
	posix_spawn_file_actions_addfchdir_np(&files, g->args->root);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	error = posix_spawnp(pid, "git", &files, &attributes, (char *const *)(uintptr_t)g->words,
			     (char *const *)(uintptr_t)env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return error;
}

/* Keep the newest of it. */
static void hear(struct git_run *g, const char *data, size_t n)
{
	size_t have = strlen(g->said);
	size_t room = sizeof(g->said) - 1;

	if (n > room) {
		data += n - room;
		n = room;
	}
	if (have + n > room) {
		memmove(g->said, g->said + (have + n - room), room - n);
		have = room - n;
	}
	memcpy(g->said + have, data, n);
	g->said[have + n] = '\0';
}

/* Until it closes its end; false when it is to be given up. */
static bool listen_to(struct git_run *g, int from)
{
	struct pollfd p = {.fd = from, .events = POLLIN};
	time_t end = time(NULL) + TIMEOUT_S;
	char data[512];
	ssize_t n;

	while (!atomic_load(g->args->canceled) && time(NULL) < end) {
		if (poll(&p, 1, LOOK_MS) <= 0) {
			continue;
		}
		n = read(from, data, sizeof(data));
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
			return true;
		}
		hear(g, data, n > 0 ? (size_t)n : 0);
	}
	return false;
}

/* The last line that says something, for people. */
static void tell(struct git_run *g, char why[GIT_WHY])
{
	size_t n = strlen(g->said);
	char *line;

	while (n > 0 && g->said[n - 1] == '\n') {
		g->said[--n] = '\0';
	}
	line = strrchr(g->said, '\n');
	snprintf(why, GIT_WHY, "git: %.240s", n == 0 ? "it was stopped" : line == NULL ? g->said : line + 1);
}

static int run(struct git_run *g, char why[GIT_WHY])
{
	int ends[2];
	int status = -1;
	int error;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		snprintf(why, GIT_WHY, "git: %s", strerror(errno));
		return ERR_IO;
	}
	error = spawn_git(g, ends[1], &pid);
	close(ends[1]);
	if (error != 0) {
		close(ends[0]);
		snprintf(why, GIT_WHY, error == ENOENT ? "git is not installed on this node" : "git: %s", strerror(error));
		return error == ENOENT ? ERR_UNSUPPORTED : ERR_IO;
	}
	if (!listen_to(g, ends[0])) {
		kill(-pid, SIGKILL);
	}
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	tell(g, why);
	return ERR_IO;
}

/* ---- a repository ---- */

static int clone_it(const struct git_args *args, const struct git_login *login, char why[GIT_WHY])
{
	struct git_run g;
	char depth[24];

	snprintf(depth, sizeof(depth), "%ld", args->depth);
	begin(&g, args, login);
	word(&g, "clone");
	word(&g, "--quiet");
	if (args->depth > 0) {
		word(&g, "--depth");
		word(&g, depth);
		if (args->ref[0] != '\0') {
			word(&g, "--branch");
			word(&g, args->ref);
		}
	}
	word(&g, "--");
	word(&g, login->url);
	word(&g, args->name);
	return run(&g, why);
}

static int check_out(const struct git_args *args, const struct git_login *login, char why[GIT_WHY])
{
	struct git_run g;

	begin(&g, args, login);
	word(&g, "-C");
	word(&g, args->name);
	word(&g, "checkout");
	word(&g, "--quiet");
	word(&g, args->ref);
	word(&g, "--");
	return run(&g, why);
}

static int get_submodules(const struct git_args *args, const struct git_login *login, char why[GIT_WHY])
{
	struct git_run g;
	char path[128];

	snprintf(path, sizeof(path), "%.64s/.gitmodules", args->name);
	if (faccessat(args->root, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
		return 0;
	}
	begin(&g, args, login);
	word(&g, "-C");
	word(&g, args->name);
	word(&g, "submodule");
	word(&g, "--quiet");
	word(&g, "update");
	word(&g, "--init");
	word(&g, "--recursive");
	return run(&g, why);
}

int git_clone(const struct git_args *args, char why[GIT_WHY])
{
	struct git_login login;
	int rc;

	if (args->ref[0] == '-' || args->url[0] == '-') {
		snprintf(why, GIT_WHY, "\"%.100s\" is no git %s", args->ref[0] == '-' ? args->ref : "-...",
		         args->ref[0] == '-' ? "ref" : "repository");
		return ERR_INVALID;
	}
	if (!find_login(args->url, &login)) {
		snprintf(why, GIT_WHY, "the repository's URL is too long");
		return ERR_INVALID;
	}
	rc = clone_it(args, &login, why);
	if (rc == 0 && args->ref[0] != '\0' && args->depth <= 0) {
		rc = check_out(args, &login, why);
	}
	rc = rc != 0 ? rc : get_submodules(args, &login, why);
	OPENSSL_cleanse(&login, sizeof(login));
	return rc;
}

/* ---- sources without a URL ---- */

bool git_detect(const char *source, char *out, size_t size)
{
	static const char *const hosts[] = {"github.com/", "gitlab.com/", "bitbucket.org/"};
	const char *at;
	size_t i;
	int n;

	if (strncmp(source, "git@", 4) == 0) {
		return snprintf(out, size, "%s", source) < (int)size;
	}
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		if (strncmp(source, hosts[i], strlen(hosts[i])) != 0) {
			continue;
		}
		at = source + strlen(hosts[i]);
		at += strcspn(at, "/?");
		at += *at == '/' ? 1 + strcspn(at + 1, "/?") : 0;
		n = (int)(at - source);
		return snprintf(out, size, "https://%.*s%s%s%s", n, source,
		                n > 4 && strncmp(at - 4, ".git", 4) == 0 ? "" : ".git", at[0] == '/' && at[1] != '/' ? "/" : "", at) <
		       (int)size;
	}
	return false;
}
