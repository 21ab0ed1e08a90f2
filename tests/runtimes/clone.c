// For tests only: a Node.js addon whose one function clones the process.

#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// From Node-API, which is stable.
typedef void *napi_env, *napi_value, *napi_info;
typedef napi_value (*napi_callback)(napi_env, napi_info);
int napi_call_function(napi_env, napi_value, napi_value, size_t, const napi_value *, napi_value *);
int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
int napi_create_int32(napi_env, int, napi_value *);
int napi_get_cb_info(napi_env, napi_info, size_t *, napi_value *, napi_value *, void **);
int napi_get_undefined(napi_env, napi_value *);

// V8 keeps its heap from children, which mostly become other programs at once.
static int heap_to_children(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return -1;
  void *begin, *end;
  while (fscanf(maps, "%p-%p%*[^\n]", &begin, &end) == 2)
    // The kernel refuses for its own mappings, which children have anyway.
    madvise(begin, (char *)end - (char *)begin, MADV_DOFORK);
  return fclose(maps);
}

// Calls its argument in a clone that no library gets to know of (even the
// process id is the same), and returns how that ended.
static napi_value in_clone(napi_env env, napi_info info) {
  size_t count = 1;
  napi_value function, undefined, result;
  int status = -1;
  napi_get_cb_info(env, info, &count, &function, NULL, NULL);
  napi_get_undefined(env, &undefined);
  if (heap_to_children() != 0) _exit(1);
  long child = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(napi_call_function(env, undefined, function, 0, NULL, NULL));
  if (child > 0) waitpid(child, &status, 0);
  napi_create_int32(env, status, &result);
  return result;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  (void)exports;
  napi_value function;
  napi_create_function(env, "inClone", 7, in_clone, NULL, &function);
  return function;
}
