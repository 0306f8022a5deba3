/* A program without Rust's std around the library: the exit code is the number of the step that
   failed, 0 for none. */
int windhover_no_std(void);

/* `alloc` comes compiled for unwinding, which std would bring. Panics abort here: never called. */
void rust_eh_personality(void)
{
}

int main(void)
{
    return windhover_no_std();
}
