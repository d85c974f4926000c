/* libcurl, when it is first needed: see lib/late.h. A function that is used and not listed here does not link. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdarg.h>

#include "lib/late.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

/* X(type of the result, its value without the library, name, parameters, arguments) */
#define PLAIN_LIST(X)                                                                                         \
	X(CURL *, NULL, curl_easy_init, (void), ())                                                           \
	X(CURLcode, CURLE_FAILED_INIT, curl_easy_perform, (CURL * curl), (curl))                              \
	X(CURLcode, CURLE_FAILED_INIT, curl_easy_recv, (CURL * curl, void *to, size_t size, size_t *n),      \
	  (curl, to, size, n))                                                                                \
	X(CURLcode, CURLE_FAILED_INIT, curl_easy_send, (CURL * curl, const void *from, size_t size, size_t *n), \
	  (curl, from, size, n))                                                                              \
	X(const char *, "libcurl.so.4 cannot be loaded", curl_easy_strerror, (CURLcode code), (code))         \
	X(struct curl_slist *, NULL, curl_slist_append, (struct curl_slist * list, const char *text), (list, text)) \
	X(CURLM *, NULL, curl_multi_init, (void), ())                                                         \
	X(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_add_handle, (CURLM * multi, CURL *curl), (multi, curl)) \
	X(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_remove_handle, (CURLM * multi, CURL *curl), (multi, curl)) \
	X(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_cleanup, (CURLM * multi), (multi))                      \
	X(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_assign, (CURLM * multi, curl_socket_t fd, void *data),  \
	  (multi, fd, data))                                                                                  \
	X(CURLMsg *, NULL, curl_multi_info_read, (CURLM * multi, int *left), (multi, left))                   \
	X(CURLMcode, CURLM_INTERNAL_ERROR, curl_multi_socket_action,                                          \
	  (CURLM * multi, curl_socket_t fd, int events, int *running), (multi, fd, events, running))
#define VOID_LIST(X)                                                      \
	X(curl_easy_cleanup, (CURL * curl), (curl))                       \
	X(curl_slist_free_all, (struct curl_slist * list), (list))

#define X(result, without, name, params, args) static result(*real_##name) params;
PLAIN_LIST(X)
#undef X
#define X(name, params, args) static void(*real_##name) params;
VOID_LIST(X)
#undef X
static CURLcode (*real_curl_global_init)(long flags);
static CURLcode (*real_curl_easy_setopt)(CURL *curl, CURLoption option, ...);
static CURLcode (*real_curl_easy_getinfo)(CURL *curl, CURLINFO info, ...);
static CURLMcode (*real_curl_multi_setopt)(CURLM *multi, CURLMoption option, ...);

static bool loaded;

static void load(void)
{
#define SYMBOL(name) {#name, (void (**)(void))(void *)&real_##name},
#define X(result, without, name, params, args) SYMBOL(name)
#define Y(name, params, args) SYMBOL(name)
	static const struct late_symbol symbols[] = {PLAIN_LIST(X) VOID_LIST(Y) SYMBOL(curl_global_init)
	                                                     SYMBOL(curl_easy_setopt) SYMBOL(curl_easy_getinfo)
	                                                             SYMBOL(curl_multi_setopt)};
#undef X
#undef Y

	loaded = late_load("libcurl.so.4", symbols, sizeof(symbols) / sizeof(symbols[0])) &&
	         real_curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
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
PLAIN_LIST(X)
#undef X
#define X(name, params, args)             \
	void name params                  \
	{                                 \
		if (ready()) {            \
			real_##name args; \
		}                         \
	}
VOID_LIST(X)
#undef X

/* The one argument behind the option has the type that the option's number tells. */
#define PASS_ON(code_type, failed, call, handle, option)                         \
	code_type code = failed;                                                 \
	va_list args;                                                            \
                                                                                 \
	if (!ready()) {                                                          \
		return code;                                                     \
	}                                                                        \
	va_start(args, option);                                                  \
	switch ((int)(option) / 10000) {                                         \
	case CURLOPTTYPE_LONG / 10000:                                           \
		code = call(handle, option, va_arg(args, long));            \
		break;                                                           \
	case CURLOPTTYPE_OFF_T / 10000:                                          \
		code = call(handle, option, va_arg(args, curl_off_t));      \
		break;                                                           \
	default:                                                                 \
		code = call(handle, option, va_arg(args, void *));          \
		break;                                                           \
	}                                                                        \
	va_end(args);                                                            \
	return code

CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
	PASS_ON(CURLcode, CURLE_FAILED_INIT, real_curl_easy_setopt, curl, option);
}

CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, ...)
{
	PASS_ON(CURLMcode, CURLM_INTERNAL_ERROR, real_curl_multi_setopt, multi, option);
}

CURLcode curl_easy_getinfo(CURL *curl, CURLINFO info, ...)
{
	CURLcode code = CURLE_FAILED_INIT;
	va_list args;

	if (ready()) {
		va_start(args, info);
		code = real_curl_easy_getinfo(curl, info, va_arg(args, void *)); /* Every answer goes to a pointer. */
		va_end(args);
	}
	return code;
}
