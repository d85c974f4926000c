#include "client/carry.h"

#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/beneath.h"
#include "client/config.h"
#include "client/place.h"
#include "client/unpack.h"
#include "proto/error.h"

enum { DEPTH_MAX = 64, PIECE = 64 << 10, BATCH = 256 << 10, STALL_S = 60, CONNECT_S = 20 };

/* ---- reading ---- */

struct level {
	DIR *dir;
	size_t len; /* Of the path up to here. */
};

struct carry {
	int alloc;
	struct archive *archive;
	struct buf *out; /* Of the call under way. */
	char **roots;
	unsigned n, next;
	struct level levels[DEPTH_MAX];
	unsigned depth;
	char path[PATH_MAX];
	bool begun;
	int file; /* -1: none is being read. */
	int64_t left;
	char piece[PIECE];
};

static la_ssize_t write_cb(struct archive *a, void *ctx, const void *data, size_t n)
{
	struct carry *c = ctx;

	(void)a;
	buf_put(c->out, data, n);
	return c->out->failed ? -1 : (la_ssize_t)n;
}

static bool name_roots(struct carry *c, const char *const *tasks, unsigned n)
{
	unsigned i;

	c->roots = calloc(n + 1, sizeof(c->roots[0]));
	if (c->roots == NULL) {
		return false;
	}
	c->roots[c->n++] = strdup("alloc/data");
	for (i = 0; i < n && c->roots[c->n - 1] != NULL; i++) {
		char path[NAME_MAX + 16];

		snprintf(path, sizeof(path), "%.*s/local", NAME_MAX, tasks[i]);
		c->roots[c->n++] = strdup(path);
	}
	return c->roots[c->n - 1] != NULL;
}

struct carry *carry_open(int alloc, const char *const *tasks, unsigned n)
{
	struct carry *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		return NULL;
	}
	c->file = -1;
	c->alloc = fcntl(alloc, F_DUPFD_CLOEXEC, 0);
	c->archive = archive_write_new();
	if (c->alloc < 0 || c->archive == NULL || !name_roots(c, tasks, n)) {
		carry_close(c);
		return NULL;
	}
	archive_write_set_format_pax_restricted(c->archive);
	archive_write_set_bytes_per_block(c->archive, 0);
	return c;
}

void carry_close(struct carry *c)
{
	unsigned i;

	while (c->depth > 0) {
		closedir(c->levels[--c->depth].dir);
	}
	if (c->file >= 0) {
		close(c->file);
	}
	if (c->alloc >= 0) {
		close(c->alloc);
	}
	if (c->archive != NULL) {
		archive_write_free(c->archive); /* Writes nothing any more: it was closed, or has failed. */
	}
	for (i = 0; i < c->n; i++) {
		free(c->roots[i]);
	}
	free(c->roots);
	free(c);
}

static int put_head(struct carry *c, const struct stat *st, const char *link)
{
	struct archive_entry *e = archive_entry_new();
	int rc;

	if (e == NULL) {
		return ERR_NOMEM;
	}
	archive_entry_copy_stat(e, st);
	archive_entry_set_pathname(e, c->path);
	archive_entry_set_nlink(e, 1);
	if (link != NULL) {
		archive_entry_set_symlink(e, link);
	}
	if (!S_ISREG(st->st_mode)) {
		archive_entry_set_size(e, 0);
	}
	rc = archive_write_header(c->archive, e);
	archive_entry_free(e);
	return rc == ARCHIVE_FATAL ? ERR_IO : 0;
}

/* Append the rest of an open file, a piece of it. What has become shorter meanwhile is filled up with zeros. */
static int put_piece(struct carry *c)
{
	size_t want = c->left < PIECE ? (size_t)c->left : PIECE;
	ssize_t n = read(c->file, c->piece, want);

	if (n < 0 && errno != EINTR) {
		return ERR_IO;
	}
	if (n == 0) {
		memset(c->piece, 0, want);
		n = (ssize_t)want;
	}
	if (n > 0 && archive_write_data(c->archive, c->piece, (size_t)n) < 0) {
		return ERR_IO;
	}
	c->left -= n > 0 ? n : 0;
	if (c->left == 0) {
		close(c->file);
		c->file = -1;
	}
	return 0;
}

static int enter(struct carry *c, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL || c->depth == DEPTH_MAX) {
		if (dir != NULL) {
			closedir(dir);
		} else if (fd >= 0) {
			close(fd);
		}
		return dir == NULL ? 0 : ERR_TOOBIG; /* One that is gone is none. */
	}
	c->levels[c->depth++] = (struct level){dir, strlen(c->path)};
	return 0;
}

static int put_file(struct carry *c, int dir, const char *name)
{
	struct stat st;

	c->file = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (c->file < 0) {
		return errno == ENOENT || errno == ELOOP ? 0 : ERR_IO;
	}
	if (fstat(c->file, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		close(c->file);
		c->file = -1;
		return S_ISREG(st.st_mode) ? put_head(c, &st, NULL) : 0;
	}
	c->left = st.st_size;
	return put_head(c, &st, NULL);
}

static int put_entry(struct carry *c, int dir, const char *name)
{
	char link[PATH_MAX];
	struct stat st;
	ssize_t n;
	int rc;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return 0; /* Gone meanwhile. */
	}
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return put_file(c, dir, name);
	case S_IFDIR:
		rc = put_head(c, &st, NULL);
		return rc != 0 ? rc : enter(c, dir, name);
	case S_IFLNK:
		n = readlinkat(dir, name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		return n > 0 ? put_head(c, &st, link) : 0;
	default:
		return 0;
	}
}

/* The next directory of those that go; 0 when there is none any more. */
static int next_root(struct carry *c)
{
	int fd;
	int rc = 0;

	if (c->next == c->n) {
		return 0;
	}
	snprintf(c->path, sizeof(c->path), "%s", c->roots[c->next++]);
	fd = beneath_open(c->alloc, c->path, O_RDONLY | O_DIRECTORY, BENEATH_NO_LINKS);
	if (fd >= 0) {
		rc = enter(c, fd, ".");
		close(fd);
	}
	return rc != 0 ? rc : 1;
}

static int step(struct carry *c)
{
	struct level *top = c->depth == 0 ? NULL : &c->levels[c->depth - 1];
	struct dirent *e;
	int rc;

	if (c->file >= 0) {
		rc = put_piece(c);
		return rc != 0 ? rc : 1;
	}
	if (top == NULL) {
		return next_root(c);
	}
	c->path[top->len] = '\0';
	e = readdir(top->dir);
	if (e == NULL) {
		closedir(top->dir);
		c->depth--;
		return 1;
	}
	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
		return 1;
	}
	if (top->len + 1 + strlen(e->d_name) >= sizeof(c->path)) {
		return ERR_TOOBIG;
	}
	sprintf(c->path + top->len, "/%s", e->d_name);
	rc = put_entry(c, dirfd(top->dir), e->d_name);
	return rc != 0 ? rc : 1;
}

int carry_next(struct carry *c, struct buf *out)
{
	int rc = 1;

	c->out = out;
	if (!c->begun && archive_write_open(c->archive, c, NULL, write_cb, NULL) != ARCHIVE_OK) {
		return ERR_NOMEM;
	}
	c->begun = true;
	while (rc == 1 && out->len < BATCH) {
		rc = step(c);
	}
	if (rc == 0 && archive_write_close(c->archive) != ARCHIVE_OK) {
		rc = ERR_IO;
	}
	return rc;
}

/* ---- getting ---- */

static int progress_cb(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	(void)total;
	(void)now;
	(void)up_total;
	(void)up_now;
	return atomic_load((const atomic_bool *)ctx);
}

static void set_file(CURL *curl, CURLoption option, const char *path)
{
	if (path != NULL && path[0] != '\0') {
		curl_easy_setopt(curl, option, path);
	}
}

/* Nobody else's authorities are asked than those of the cluster. */
static void set_tls(CURL *curl, const struct client_tls *tls)
{
	if (tls->ca_file != NULL && tls->ca_file[0] != '\0') {
		curl_easy_setopt(curl, CURLOPT_CAINFO, tls->ca_file);
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
	set_file(curl, CURLOPT_SSLCERT, tls->cert_file);
	set_file(curl, CURLOPT_SSLKEY, tls->key_file);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, tls->verify_names ? 2L : 0L);
}

/* A URL whose host is ROLE.REGION.nomad, by which the other's certificate is checked, and in `to` where it really is. */
static void name_host(const char *url, const char *role, const char *region, char *named, size_t named_size, char *to,
		      size_t to_size)
{
	const char *host = url + strlen("https://");
	size_t n = strcspn(host, "/");
	const char *port = memrchr(host, ':', n);

	snprintf(to, to_size, "::%.*s", (int)n, host);
	snprintf(named, named_size, "https://%s.%s.nomad%s", role, region, port != NULL ? port : host + n);
}

static int download(int fd, const char *url, const char *token, const struct client_config *config, const char *role,
		    const atomic_bool *canceled, char why[CARRY_WHY])
{
	char error[CURL_ERROR_SIZE] = "";
	CURL *curl = curl_easy_init();
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
	struct curl_slist *headers = NULL;
	struct curl_slist *place = NULL;
	char named[1024];
	char to[512];
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	char header[160];

	snprintf(header, sizeof(header), "X-Nomad-Token: %.128s", token);
	if (token[0] != '\0') {
		headers = curl_slist_append(NULL, header);
	}
	if (curl != NULL && file != NULL && (token[0] == '\0' || headers != NULL)) {
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
		set_tls(curl, &config->tls);
		if (role != NULL) {
			name_host(url, role, config->region, named, sizeof(named), to, sizeof(to));
			place = curl_slist_append(NULL, to);
			curl_easy_setopt(curl, CURLOPT_URL, named);
			curl_easy_setopt(curl, CURLOPT_CONNECT_TO, place);
		}
		curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress_cb);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, canceled);
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
		rc = curl_easy_perform(curl);
	}
	if (file != NULL && fclose(file) != 0 && rc == CURLE_OK) {
		rc = CURLE_WRITE_ERROR;
	} else if (file == NULL && copy >= 0) {
		close(copy);
	}
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	curl_slist_free_all(place);
	if (rc != CURLE_OK) {
		snprintf(why, CARRY_WHY, "%.300s", error[0] != '\0' ? error : curl_easy_strerror(rc));
		return rc == CURLE_PEER_FAILED_VERIFICATION ? ERR_REFUSED : ERR_IO;
	}
	return 0;
}

/* An agent that is a server, too, has a server's certificate. */
static int download_from(int fd, const char *url, const char *token, const struct client_config *config,
			 const atomic_bool *canceled, char why[CARRY_WHY])
{
	int rc;

	if (!config->tls.verify_names || strncmp(url, "https://", 8) != 0) {
		return download(fd, url, token, config, NULL, canceled, why);
	}
	rc = download(fd, url, token, config, "client", canceled, why);
	return rc == ERR_REFUSED ? download(fd, url, token, config, "server", canceled, why) : rc;
}

/* By way of a file without a name, as nothing is put in place of an archive that has not come whole. */
int carry_fetch(int alloc, const char *url, const char *token, const struct client_config *config,
		const atomic_bool *canceled, char why[CARRY_WHY])
{
	int fd = openat(alloc, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0) {
		snprintf(why, CARRY_WHY, "a file for it cannot be made: %s", strerror(errno));
		return ERR_IO;
	}
	rc = download_from(fd, url, token, config, canceled, why);
	if (rc == 0) {
		rc = unpack_data(fd, alloc, why, CARRY_WHY);
	}
	close(fd);
	return rc;
}
