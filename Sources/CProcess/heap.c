#include "cprocess.h"

#include <malloc.h>

void cprocess_keep_heap(size_t bytes) {
#ifdef __GLIBC__
    mallopt(M_TRIM_THRESHOLD, (int)bytes);
    // Once the other is set, this is not adjusted any more.
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
#else
    (void)bytes;
#endif
}
