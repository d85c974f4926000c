/* Linked into tests that run a whole server: what is no leak of ours. */

/* h2o keeps some memory of its thread for later, and loses it with the thread. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:h2o_mem_alloc_recycle\n";
}
