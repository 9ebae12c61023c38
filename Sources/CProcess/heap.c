#include "cprocess.h"

#include <errno.h>
#include <malloc.h>
#include <sys/resource.h>

void cprocess_keep_heap(size_t bytes) {
#ifdef __GLIBC__
    mallopt(M_TRIM_THRESHOLD, (int)bytes);
    // Once the other is set, this is not adjusted any more.
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
#else
    (void)bytes;
#endif
}

int cprocess_limit_memory(size_t bytes) {
    struct rlimit limit = {bytes, bytes};
    return setrlimit(RLIMIT_DATA, &limit) == 0 ? 0 : errno;
}
