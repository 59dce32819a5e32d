// How jemalloc is to behave in this program: two threads share an arena, and what is free goes back to the host soon.
extern "C" const char* malloc_conf;
const char* malloc_conf = "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0,tcache_max:4096";
