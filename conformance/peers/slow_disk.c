/* Preloaded into a server: while the file named by SLOW_DISK is there, the disk hangs. A write is taken
   by the system as always; what waits is the sync behind it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int file) {
  const char *hangs = getenv("SLOW_DISK");
  while (hangs != NULL && access(hangs, F_OK) == 0) usleep(5000);
  int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  return sync(file);
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
