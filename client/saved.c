#include "client/saved.h"

OBJECT_DEFINE(saved_event, SAVED_EVENT_FIELDS);
OBJECT_DEFINE(saved_task, SAVED_TASK_FIELDS);
OBJECT_DEFINE(saved_alloc, SAVED_ALLOC_FIELDS);
