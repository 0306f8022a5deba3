/* Preloaded into a server: the wall clock is ahead of the machine's by as many seconds as the file named by
   WALL_CLOCK says. Clocks that nobody sets stay as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*machine)(clockid_t, struct timespec *);
  static int file = -1;
  if (machine == NULL) machine = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = machine(clock, time);
  if (result != 0 || clock != CLOCK_REALTIME) return result;
  if (file < 0 && getenv("WALL_CLOCK") != NULL) file = open(getenv("WALL_CLOCK"), O_RDONLY | O_CLOEXEC);
  char text[24] = {0};
  if (file >= 0 && pread(file, text, sizeof text - 1, 0) > 0) time->tv_sec += strtol(text, NULL, 10);
  return result;
}
