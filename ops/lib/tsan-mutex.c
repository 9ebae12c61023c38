// Tells ThreadSanitizer of a Swift Mutex that somebody waits for. Taking it and letting go of it while nobody does are inlined into our
// code, so the sanitizer sees these; the rest is done in Swift's library and the kernel, which know nothing of it, and what came before
// would seem to be in no order. ops/sanitize wraps the two calls.
#include <stdint.h>

#define METHOD(prefix, name) __asm__(prefix "$s15Synchronization12_MutexHandleV" name) __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *mutex

void __tsan_acquire(void *address);
void __tsan_release(void *address);

void lock(uint32_t thread, SELF) METHOD("__real_", "9_lockSlowyys6UInt32VF");
void unlock(SELF) METHOD("__real_", "11_unlockSlowyyF");
void wrapped_lock(uint32_t thread, SELF) METHOD("__wrap_", "9_lockSlowyys6UInt32VF");
void wrapped_unlock(SELF) METHOD("__wrap_", "11_unlockSlowyyF");

__attribute__((swiftcall)) void wrapped_lock(uint32_t thread, SELF) {
    lock(thread, mutex);
    __tsan_acquire(mutex);
}

__attribute__((swiftcall)) void wrapped_unlock(SELF) {
    __tsan_release(mutex);
    unlock(mutex);
}
