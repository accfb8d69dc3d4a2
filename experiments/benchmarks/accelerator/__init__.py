"""What an accelerator does with w2v_jax, in ten minutes: items of value first, each a process."""
