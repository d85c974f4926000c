/* libarchive, when it is first needed: see lib/late.h. A function that is used and not listed here does not link. */
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include "lib/late.h"

/* X(type of the result, its value without the library, name, parameters, arguments) */
#define FUNCTION_LIST(X)                                                                                        \
	X(struct archive *, NULL, archive_read_new, (void), ())                                                 \
	X(int, ARCHIVE_FATAL, archive_read_support_filter_all, (struct archive * a), (a))                       \
	X(int, ARCHIVE_FATAL, archive_read_support_format_raw, (struct archive * a), (a))                       \
	X(int, ARCHIVE_FATAL, archive_read_support_format_tar, (struct archive * a), (a))                       \
	X(int, ARCHIVE_FATAL, archive_read_support_format_zip, (struct archive * a), (a))                       \
	X(int, ARCHIVE_FATAL, archive_read_open_fd, (struct archive * a, int fd, size_t block), (a, fd, block)) \
	X(int, ARCHIVE_FATAL, archive_read_next_header, (struct archive * a, struct archive_entry **e), (a, e)) \
	X(int, ARCHIVE_FATAL, archive_read_data_block,                                                          \
	  (struct archive * a, const void **data, size_t *len, la_int64_t *at), (a, data, len, at))             \
	X(int, ARCHIVE_OK, archive_read_free, (struct archive * a), (a))                                        \
	X(const char *, "libarchive.so.13 cannot be loaded", archive_error_string, (struct archive * a), (a))   \
	X(const char *, NULL, archive_entry_pathname, (struct archive_entry * e), (e))                          \
	X(const char *, NULL, archive_entry_hardlink, (struct archive_entry * e), (e))                          \
	X(const char *, NULL, archive_entry_symlink, (struct archive_entry * e), (e))                           \
	X(__LA_MODE_T, 0, archive_entry_filetype, (struct archive_entry * e), (e))                              \
	X(__LA_MODE_T, 0, archive_entry_perm, (struct archive_entry * e), (e))                                  \
	X(la_int64_t, 0, archive_entry_uid, (struct archive_entry * e), (e))                                    \
	X(la_int64_t, 0, archive_entry_gid, (struct archive_entry * e), (e))                                    \
	X(struct archive_entry *, NULL, archive_entry_new, (void), ())                                          \
	X(struct archive *, NULL, archive_write_new, (void), ())                                                \
	X(int, ARCHIVE_FATAL, archive_write_set_format_pax_restricted, (struct archive * a), (a))               \
	X(int, ARCHIVE_FATAL, archive_write_set_bytes_per_block, (struct archive * a, int n), (a, n))           \
	X(int, ARCHIVE_FATAL, archive_write_open,                                                               \
	  (struct archive * a, void *ctx, archive_open_callback *open, archive_write_callback *write,           \
	   archive_close_callback *close),                                                                      \
	  (a, ctx, open, write, close))                                                                         \
	X(int, ARCHIVE_FATAL, archive_write_header, (struct archive * a, struct archive_entry * e), (a, e))     \
	X(la_ssize_t, -1, archive_write_data, (struct archive * a, const void *data, size_t n), (a, data, n))   \
	X(int, ARCHIVE_FATAL, archive_write_close, (struct archive * a), (a))                                   \
	X(int, ARCHIVE_OK, archive_write_free, (struct archive * a), (a))

/* Those that have no result. */
#define VOID_LIST(X)                                                                                            \
	X(archive_entry_free, (struct archive_entry * e), (e))                                                  \
	X(archive_entry_copy_stat, (struct archive_entry * e, const struct stat *st), (e, st))                  \
	X(archive_entry_set_pathname, (struct archive_entry * e, const char *path), (e, path))                  \
	X(archive_entry_set_nlink, (struct archive_entry * e, unsigned n), (e, n))                              \
	X(archive_entry_set_symlink, (struct archive_entry * e, const char *to), (e, to))                       \
	X(archive_entry_set_size, (struct archive_entry * e, la_int64_t n), (e, n))

#define X(result, without, name, params, args) static result(*real_##name) params;
FUNCTION_LIST(X)
#undef X
#define X(name, params, args) static void(*real_##name) params;
VOID_LIST(X)
#undef X

static bool loaded;

static void load(void)
{
#define Y(name, params, args) {#name, (void (**)(void))(void *)&real_##name},
#define X(result, without, name, params, args) Y(name, params, args)
	static const struct late_symbol symbols[] = {FUNCTION_LIST(X) VOID_LIST(Y)};
#undef X
#undef Y

	loaded = late_load("libarchive.so.13", symbols, sizeof(symbols) / sizeof(symbols[0]));
}

static bool ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return loaded;
}

#define X(result, without, name, params, args)              \
	result name params                                  \
	{                                                   \
		return ready() ? real_##name args : without; \
	}
FUNCTION_LIST(X)
#undef X
#define X(name, params, args)            \
	void name params                 \
	{                                \
		if (ready()) {           \
			real_##name args; \
		}                        \
	}
VOID_LIST(X)
#undef X
