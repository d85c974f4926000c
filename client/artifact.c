#include "client/artifact.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/artifact_git.h"
#include "client/beneath.h"
#include "client/graft.h"
#include "client/place.h"
#include "client/unpack.h"
#include "lib/buf.h"
#include "lib/uuid.h"
#include "proto/error.h"

enum { TRIES = 3, TRY_PAUSE_US = 300000, CONNECT_TIMEOUT_S = 20, STALL_S = 60, REDIRECTS_MAX = 10 };
enum { LIST_MAX = 1 << 20, SOURCE_MAX = 4096 };

#define SIZE_MAX_BYTES (INT64_C(100) << 30)
#define TIMEOUT_S 1800L

/* One artifact on its way. */
struct fetch {
	const struct artifact_args *args;
	struct buf url;       /* Without what is meant for us. */
	char checksum[1024];  /* "sha256:hex", or as read_source() finds it. */
	char archive[24];      /* As the options say; "" to go by the name. */
	char filename[256];
	char ref[256], depth[24], sshkey[8]; /* Of a repository. */
	char subdir[1024];    /* What of it is wanted; "": all. */
	bool git;
	char tmp[64];         /* In the allocation's directory. */
	int fd;
	EVP_MD_CTX *hash;     /* NULL without a checksum. */
	int error;            /* Of writing. */
	char *why;
};

static int refuse(struct fetch *f, int code, const char *format, const char *what)
{
	snprintf(f->why, ARTIFACT_WHY, format, what);
	return code;
}

/* ---- the source ---- */

/* Take an option that is for us; false when it is the server's. */
static bool take_option(struct fetch *f, const char *key, const char *value, size_t len)
{
	static const struct {
		const char *key;
		size_t at, size;
		bool git;
	} ours[] = {{"checksum", offsetof(struct fetch, checksum), sizeof(f->checksum), false},
	            {"archive", offsetof(struct fetch, archive), sizeof(f->archive), false},
	            {"filename", offsetof(struct fetch, filename), sizeof(f->filename), false},
	            {"ref", offsetof(struct fetch, ref), sizeof(f->ref), true},
	            {"depth", offsetof(struct fetch, depth), sizeof(f->depth), true},
	            {"sshkey", offsetof(struct fetch, sshkey), sizeof(f->sshkey), true}};
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strcmp(key, ours[i].key) == 0 && ours[i].git <= f->git) {
			snprintf((char *)f + ours[i].at, ours[i].size, "%.*s", (int)len, value);
			return true;
		}
	}
	return false;
}

/* One "key=value" of the source's own query. */
static void take_query(struct fetch *f, const char *part, size_t len, bool *first)
{
	const char *equals = memchr(part, '=', len);
	size_t key_len = equals == NULL ? len : (size_t)(equals - part);
	char key[64];

	snprintf(key, sizeof(key), "%.*s", (int)(key_len < sizeof(key) ? key_len : 0), part);
	if (equals != NULL && take_option(f, key, equals + 1, len - key_len - 1)) {
		return;
	}
	buf_byte(&f->url, *first ? '?' : '&');
	buf_put(&f->url, part, len);
	*first = false;
}

static void put_escaped(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-._~", c) != NULL) {
			buf_byte(out, (char)c);
		} else {
			buf_printf(out, "%%%02X", c);
		}
	}
}

static void take_options(struct fetch *f, bool *first)
{
	const struct map *options = f->args->options;
	uint32_t i;

	for (i = 0; i < options->n; i++) {
		const char *value = options->at[i].value;

		if (!take_option(f, options->at[i].key, value, strlen(value))) {
			buf_byte(&f->url, *first ? '?' : '&');
			put_escaped(&f->url, options->at[i].key);
			buf_byte(&f->url, '=');
			put_escaped(&f->url, value);
			*first = false;
		}
	}
}

/* The last part of the URL's path is the file's name, unless the options give one. */
static void name_file(struct fetch *f, const char *url, size_t path_len)
{
	const char *end = url + path_len;
	const char *from = end;

	while (from > url && from[-1] != '/') {
		from--;
	}
	if (f->filename[0] == '\0' && end - from < (long)sizeof(f->filename)) {
		snprintf(f->filename, sizeof(f->filename), "%.*s", (int)(end - from), from);
	}
}

static bool has_scheme(const char *source)
{
	return strncasecmp(source, "http://", 7) == 0 || strncasecmp(source, "https://", 8) == 0 ||
	       strncasecmp(source, "file:///", 8) == 0;
}

/* Where "//" begins in a source's path, or its length if it does not: the "://" of a URL is none. */
static size_t split_subdir(const char *source, size_t len)
{
	const char *scheme = strstr(source, "://");
	const char *from = scheme != NULL && scheme < source + len ? scheme + 4 : source;
	const char *at = from <= source + len ? strstr(from, "//") : NULL;

	return at != NULL && at < source + len ? (size_t)(at - source) : len;
}

static int take_subdir(struct fetch *f, const char *at, size_t len)
{
	char given[sizeof(f->subdir)];

	if (len >= sizeof(given)) {
		return refuse(f, ERR_INVALID, "%s", "path too long");
	}
	snprintf(given, sizeof(given), "%.*s", (int)len, at);
	return len == 0 || beneath_clean(given + strspn(given, "/"), f->subdir, sizeof(f->subdir)) == 0
	               ? 0
	               : refuse(f, ERR_INVALID, "the directory %.200s leads out of the source", given);
}

/* What says how the source is to be got is taken off; whether it can be. */
static bool take_getter(struct fetch *f, const char **source, char *made, size_t size)
{
	static const struct {
		const char *prefix;
		bool git;
	} getters[] = {{"http::", false}, {"https::", false}, {"file::", false}, {"git::", true}};
	size_t i;

	for (i = 0; i < sizeof(getters) / sizeof(getters[0]); i++) {
		if (strncmp(*source, getters[i].prefix, strlen(getters[i].prefix)) == 0) {
			*source += strlen(getters[i].prefix);
			f->git = getters[i].git;
			break;
		}
	}
	if ((f->git || !has_scheme(*source)) && git_detect(*source, made, size)) {
		*source = made;
		f->git = true;
	}
	return f->git || has_scheme(*source);
}

static int check_name(struct fetch *f)
{
	if (f->filename[0] == '\0' || strchr(f->filename, '/') != NULL || strcmp(f->filename, ".") == 0 ||
	    strcmp(f->filename, "..") == 0) {
		return refuse(f, ERR_INVALID, "%s", "the source names no file");
	}
	return 0;
}

static int read_source(struct fetch *f)
{
	const char *source = f->args->source;
	char made[SOURCE_MAX];
	size_t path_len;
	size_t url_len;
	const char *p;
	bool first = true;
	int rc;

	if (!take_getter(f, &source, made, sizeof(made))) {
		return refuse(f, ERR_INVALID, "%s", "unsupported source: only http, https and file URLs and git repositories are");
	}
	path_len = strcspn(source, "?#");
	url_len = split_subdir(source, path_len);
	buf_put(&f->url, source, url_len);
	p = source + path_len;
	while (*p == '?' || *p == '&') {
		size_t len = strcspn(p + 1, "&#");

		take_query(f, p + 1, len, &first);
		p += 1 + len;
	}
	take_options(f, &first);
	name_file(f, source, url_len);
	rc = take_subdir(f, source + url_len, path_len - url_len);
	if (rc == 0 && !f->git) {
		rc = check_name(f);
	}
	(void)buf_text(&f->url);
	return rc == 0 && f->url.failed ? refuse(f, ERR_NOMEM, "%s", "out of memory") : rc;
}

/* ---- the checksum ---- */

/* One without a kind is of that which has its length. */
static const EVP_MD *kind_of(const char *checksum, const char **hex)
{
	static const struct {
		const char *name;
		const EVP_MD *(*md)(void);
	} kinds[] = {{"md5:", EVP_md5}, {"sha1:", EVP_sha1}, {"sha256:", EVP_sha256}, {"sha512:", EVP_sha512}};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(checksum) == 2 * (size_t)EVP_MD_get_size(kinds[i].md()) && strchr(checksum, ':') == NULL) {
			*hex = checksum;
			return kinds[i].md();
		}
		if (strncmp(checksum, kinds[i].name, strlen(kinds[i].name)) == 0) {
			*hex = checksum + strlen(kinds[i].name);
			return kinds[i].md();
		}
	}
	return NULL;
}

/* The sum in one line of a list, if it is of this file: "hex", "hex  name", "hex *name", "KIND (name) = hex". */
static bool take_line(struct fetch *f, char *line)
{
	char *rest;
	char *hex = strtok_r(line, " \t\r", &rest);
	char *name = hex == NULL ? NULL : strtok_r(NULL, " \t\r", &rest);
	char *equals = name == NULL ? NULL : strtok_r(NULL, " \t\r", &rest);
	char *last = equals == NULL ? NULL : strtok_r(NULL, " \t\r", &rest);

	if (last != NULL && strcmp(equals, "=") == 0 && name[0] == '(') {
		name[strcspn(name, ")")] = '\0';
		name++;
		hex = last;
	}
	if (hex == NULL || hex[0] == '#') {
		return false;
	}
	if (name != NULL) {
		name += name[0] == '*';
		name = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
	}
	if (name != NULL && strcmp(name, f->filename) != 0) {
		return false;
	}
	snprintf(f->checksum, sizeof(f->checksum), "%s", hex);
	return true;
}

static int begin_checksum(struct fetch *f)
{
	const char *hex;
	const EVP_MD *md;

	if (f->checksum[0] == '\0') {
		return 0;
	}
	md = kind_of(f->checksum, &hex);
	if (md == NULL || strlen(hex) != 2 * (size_t)EVP_MD_get_size(md) ||
	    strspn(hex, "0123456789abcdefABCDEF") != strlen(hex)) {
		return refuse(f, ERR_INVALID, "invalid checksum \"%.150s\"", f->checksum);
	}
	if (f->hash == NULL) {
		f->hash = EVP_MD_CTX_new();
	}
	if (f->hash == NULL || EVP_DigestInit_ex(f->hash, md, NULL) != 1) {
		return refuse(f, ERR_NOMEM, "%s", "out of memory");
	}
	return 0;
}

static int end_checksum(struct fetch *f)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1] = "";
	const char *hex;
	unsigned n = 0;
	unsigned i;

	if (f->hash == NULL) {
		return 0;
	}
	EVP_DigestFinal_ex(f->hash, digest, &n);
	for (i = 0; i < n; i++) {
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	}
	hex = "";
	(void)kind_of(f->checksum, &hex);
	return strcasecmp(text, hex) == 0 ? 0 : refuse(f, ERR_IO, "checksums did not match: got %s", text);
}

/* ---- the download ---- */

static size_t write_cb(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;
	size_t len = size * n;
	size_t done = 0;

	if (f->hash != NULL) {
		EVP_DigestUpdate(f->hash, data, len);
	}
	while (done < len) {
		ssize_t k = write(f->fd, data + done, len - done);

		if (k < 0 && errno != EINTR) {
			f->error = errno;
			return 0;
		}
		done += k > 0 ? (size_t)k : 0;
	}
	return len;
}

static int progress_cb(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	const struct fetch *f = arg;

	(void)total;
	(void)up_total;
	(void)up_now;
	return atomic_load(f->args->canceled) || now > SIZE_MAX_BYTES;
}

static struct curl_slist *header_list(const struct map *headers)
{
	struct curl_slist *list = NULL;
	uint32_t i;

	for (i = 0; i < headers->n; i++) {
		char line[2048];

		snprintf(line, sizeof(line), "%s: %s", headers->at[i].key, headers->at[i].value);
		if (strpbrk(line, "\r\n") == NULL) {
			list = curl_slist_append(list, line);
		}
	}
	return list;
}

static void set_options(struct fetch *f, CURL *curl, struct curl_slist *headers, char error[CURL_ERROR_SIZE])
{
	curl_easy_setopt(curl, CURLOPT_URL, f->url.at);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)SIZE_MAX_BYTES);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "drover");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_cb);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress_cb);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, f);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	if (f->args->insecure) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

/* Whether the same request may succeed in a moment. */
static bool passing(CURLcode rc, long status)
{
	return rc == CURLE_HTTP_RETURNED_ERROR ? status == 429 || status >= 500
	                                       : rc == CURLE_COULDNT_RESOLVE_HOST || rc == CURLE_COULDNT_CONNECT ||
	                                                 rc == CURLE_RECV_ERROR || rc == CURLE_SEND_ERROR ||
	                                                 rc == CURLE_GOT_NOTHING || rc == CURLE_PARTIAL_FILE;
}

/* 0; ERR_BUSY when it is worth another try at once; ERR_IO. */
static int try_once(struct fetch *f)
{
	char error[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = header_list(f->args->headers);
	CURL *curl = curl_easy_init();
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	long status = 0;

	if (curl != NULL) {
		set_options(f, curl, headers, error);
		rc = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(curl);
	}
	curl_slist_free_all(headers);
	if (rc == CURLE_OK) {
		return 0;
	}
	if (f->error != 0) {
		return refuse(f, ERR_IO, "writing it: %s", strerror(f->error));
	}
	refuse(f, ERR_IO, "%s", error[0] != '\0' ? error : curl_easy_strerror(rc));
	return passing(rc, status) ? ERR_BUSY : ERR_IO;
}

static size_t list_cb(char *data, size_t size, size_t n, void *arg)
{
	struct buf *list = arg;

	if (list->len + size * n > LIST_MAX) {
		return 0;
	}
	buf_put(list, data, size * n);
	return list->failed ? 0 : size * n;
}

static int fetch_list(struct fetch *f, const char *url, struct buf *list)
{
	char error[CURL_ERROR_SIZE] = "";
	CURL *curl = curl_easy_init();
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	if (curl != NULL) {
		set_options(f, curl, NULL, error);
		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, list_cb);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, list);
		rc = curl_easy_perform(curl);
		curl_easy_cleanup(curl);
	}
	return rc == CURLE_OK ? 0
	                      : refuse(f, ERR_IO, "the list of checksums: %s",
	                               error[0] != '\0' ? error : curl_easy_strerror(rc));
}

/* A checksum that is not given itself, but stands in a file. */
static int read_list(struct fetch *f)
{
	struct buf list = {0};
	char *line;
	char *next;
	bool found = false;
	int rc;

	if (strncmp(f->checksum, "file:", 5) != 0) {
		return 0;
	}
	if (!has_scheme(f->checksum + 5)) {
		return refuse(f, ERR_INVALID, "invalid checksum \"%.150s\"", f->checksum);
	}
	rc = fetch_list(f, f->checksum + 5, &list);
	for (line = rc != 0 ? NULL : (char *)(uintptr_t)buf_text(&list); line != NULL && !found; line = next) {
		next = strchr(line, '\n');
		if (next != NULL) {
			*next++ = '\0';
		}
		found = take_line(f, line);
	}
	buf_close(&list);
	return rc != 0 || found ? rc : refuse(f, ERR_INVALID, "the list of checksums has none for \"%.150s\"", f->filename);
}

static int download(struct fetch *f)
{
	int rc = read_list(f);
	int i;

	if (rc != 0) {
		return rc;
	}
	rc = ERR_BUSY;

	for (i = 0; i < TRIES && rc == ERR_BUSY && !atomic_load(f->args->canceled); i++) {
		if (i > 0) {
			usleep(TRY_PAUSE_US);
		}
		if (ftruncate(f->fd, 0) != 0 || lseek(f->fd, 0, SEEK_SET) != 0) {
			return refuse(f, ERR_IO, "%s", strerror(errno));
		}
		rc = begin_checksum(f);
		if (rc == 0) {
			rc = try_once(f);
		}
	}
	return rc == 0 ? end_checksum(f) : rc == ERR_BUSY ? ERR_IO : rc;
}

/* ---- a repository ---- */

/* The directory of it that is wanted, as a descriptor. */
static int open_subdir(struct fetch *f, int stage)
{
	int fd = beneath_open(stage, f->subdir[0] == '\0' ? "." : f->subdir, O_RDONLY | O_DIRECTORY, BENEATH_NO_LINKS);

	return fd >= 0 ? fd : refuse(f, ERR_INVALID, "it has no directory \"%.200s\"", f->subdir);
}

/* Move what is wanted of the directory f->tmp to where it belongs. */
static int put_tree(struct fetch *f)
{
	int stage = openat(f->args->root, f->tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int from = stage < 0 ? place_fail(f->why, "open", f->tmp, errno) : open_subdir(f, stage);
	int to = from < 0 ? from : place_dir(f->args->root, f->args->path, f->why);
	int rc = to < 0 ? to : graft_links_stay(from, f->why);

	if (rc == 0) {
		rc = graft(from, to, f->why);
	}
	if (to >= 0) {
		close(to);
	}
	if (from >= 0) {
		close(from);
	}
	if (stage >= 0) {
		close(stage);
	}
	return rc;
}

static int get_repository(struct fetch *f)
{
	struct git_args git = {.root = f->args->root,
	                       .name = f->tmp,
	                       .url = f->url.at,
	                       .ref = f->ref,
	                       .canceled = f->args->canceled};
	char *end;
	int rc;

	git.depth = strtol(f->depth, &end, 10);
	if (f->sshkey[0] != '\0' || f->checksum[0] != '\0') {
		return refuse(f, ERR_INVALID, "the option \"%s\" is not supported for git repositories",
		              f->sshkey[0] != '\0' ? "sshkey" : "checksum");
	}
	if (*end != '\0' || git.depth < 0) {
		return refuse(f, ERR_INVALID, "the option \"depth\" is no number: %.20s", f->depth);
	}
	if (strcmp(f->args->mode, "file") == 0) {
		return refuse(f, ERR_INVALID, "%s", "mode is \"file\", and a repository is a directory");
	}
	rc = git_clone(&git, f->why);
	if (rc == 0) {
		rc = put_tree(f);
	}
	graft_remove(f->args->root, f->tmp);
	return rc;
}

/* ---- the place ---- */

static int move_in(struct fetch *f, const char *path)
{
	const char *name;
	int dir = place_parent(f->args->root, path, &name, f->why);
	int rc = 0;

	if (dir < 0) {
		return dir;
	}
	(void)fchmod(f->fd, 0644);
	if (renameat(f->args->root, f->tmp, dir, name) != 0) {
		rc = place_fail(f->why, "rename", path, errno);
	}
	close(dir);
	return rc;
}

static int put_file(struct fetch *f)
{
	char path[PLACE_PATH];

	if (strcmp(f->args->mode, "file") == 0) {
		return move_in(f, f->args->path);
	}
	if (snprintf(path, sizeof(path), "%s/%s", f->args->path, f->filename) >= (int)sizeof(path)) {
		return refuse(f, ERR_INVALID, "%s", "path too long");
	}
	return move_in(f, path);
}

static int put_archive(struct fetch *f, enum unpack_kind kind)
{
	int dir = place_dir(f->args->root, f->args->path, f->why);
	int rc;

	if (dir < 0) {
		return dir;
	}
	rc = unpack(f->fd, kind, f->filename, dir, f->why, ARTIFACT_WHY);
	close(dir);
	return rc;
}

/* Only a directory of the archive: it is unpacked elsewhere first. The file itself is open, and its name free. */
static int put_part(struct fetch *f, enum unpack_kind kind)
{
	int stage;
	int rc;

	if (unlinkat(f->args->root, f->tmp, 0) != 0 || mkdirat(f->args->root, f->tmp, 0700) != 0) {
		return place_fail(f->why, "mkdir", f->tmp, errno);
	}
	stage = openat(f->args->root, f->tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = stage < 0 ? place_fail(f->why, "open", f->tmp, errno)
	               : unpack(f->fd, kind, f->filename, stage, f->why, ARTIFACT_WHY);
	if (stage >= 0) {
		close(stage);
	}
	if (rc == 0) {
		rc = put_tree(f);
	}
	graft_remove(f->args->root, f->tmp);
	return rc;
}

static int put_in_place(struct fetch *f)
{
	enum unpack_kind kind = strcmp(f->archive, "false") == 0 ? UNPACK_NOTHING
	                        : f->archive[0] != '\0'          ? unpack_kind(f->archive)
	                                                         : unpack_kind(f->filename);

	if (f->archive[0] != '\0' && strcmp(f->archive, "false") != 0 && kind == UNPACK_NOTHING) {
		return refuse(f, ERR_INVALID, "unknown kind of archive \"%s\"", f->archive);
	}
	if (kind == UNPACK_NOTHING && strcmp(f->args->mode, "dir") == 0) {
		return refuse(f, ERR_INVALID, "%s", "mode is \"dir\", and it is no archive");
	}
	if (f->subdir[0] != '\0' && kind != UNPACK_MANY) {
		return refuse(f, ERR_INVALID, "a directory \"%.200s\" is wanted of what is no archive", f->subdir);
	}
	if (f->subdir[0] != '\0') {
		return put_part(f, kind);
	}
	if (kind == UNPACK_NOTHING || strcmp(f->args->mode, "file") == 0) {
		return put_file(f);
	}
	return put_archive(f, kind);
}

static int get_file(struct fetch *f)
{
	int rc;

	f->fd = openat(f->args->root, f->tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	rc = f->fd < 0 ? place_fail(f->why, "open", f->tmp, errno) : download(f);
	return rc != 0 ? rc : put_in_place(f);
}

void artifact_shown(const char *source, char out[ARTIFACT_SHOWN])
{
	const char *scheme = strstr(source, "://");
	const char *host = scheme != NULL ? scheme + 3 : source;
	const char *end = host + strcspn(host, "?#");
	const char *at = scheme != NULL ? memrchr(host, '@', strcspn(host, "/?#")) : NULL;
	const char *from = at != NULL ? at : host;

	snprintf(out, ARTIFACT_SHOWN, "%.*s%s%.*s%s", (int)(host - source < 32 ? host - source : 32), source,
		 at != NULL ? "..." : "", (int)(end - from < 160 ? end - from : 160), from, *end == '?' ? "?..." : "");
}

int artifact_fetch(const struct artifact_args *args, char why[ARTIFACT_WHY])
{
	struct fetch f = {.args = args, .fd = -1, .why = why};
	struct uuid random = uuid_random();
	char id[UUID_TEXT];
	int rc = read_source(&f);

	uuid_format(&random, id);
	snprintf(f.tmp, sizeof(f.tmp), ".drover-fetch-%s", id);
	if (rc == 0 && f.git) {
		rc = get_repository(&f);
	} else if (rc == 0) {
		rc = get_file(&f);
	}
	if (f.fd >= 0) {
		close(f.fd);
		unlinkat(args->root, f.tmp, 0);
	}
	EVP_MD_CTX_free(f.hash);
	buf_close(&f.url);
	return rc;
}
