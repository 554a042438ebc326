"""The recipe of training before straightened images (commit ef7b0ed), kept whole for comparison and used nowhere else.

Images as they are, random affine warps, batches of 128, Adam with a one-cycle rate up to 4e-3, label smoothing .1,
bfloat16 where the processor has it: 10 epochs of the fast network, 8 of the simple one.
"""
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from mnist_clustering.cnn import load_tensorflow

EPOCHS = {'simple': 8, 'fast': 10}
BATCH = 128


def make_network(keras, network, policy):
    layers = keras.layers
    if network == 'simple':
        first = [
            layers.Conv2D(32, 3, activation='relu'), layers.Conv2D(64, 3, activation='relu'), layers.MaxPooling2D(),
            layers.Dropout(.25), layers.Flatten()]
    else:
        first = [
            layers.Conv2D(16, 5, strides=2, padding='same', activation='relu'),
            layers.Conv2D(32, 3, padding='same', activation='relu'), layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding='same', activation='relu'),
            layers.Conv2D(64, 3, padding='same', activation='relu'), layers.Flatten(), layers.Dropout(.3)]
    last = [layers.Dense(128, activation='relu'), layers.Dropout(.5),
            layers.Dense(10, activation='softmax', dtype='float32')]
    return keras.Sequential([keras.Input((28, 28, 1)), *first, *last])


def warp(tf, pixels, seed):
    "Turn, slant, stretch and move each image a little."
    def uniform(number, limit):
        return tf.random.stateless_uniform(tf.shape(pixels)[:1], seed + [0, number], -limit, limit)

    angle, slant = uniform(0, .17), uniform(1, .1)
    width, height = 1 + uniform(2, .1), 1 + uniform(3, .1)
    right, down = uniform(4, 2.), uniform(5, 2.)
    a, b = tf.cos(angle) * width, (slant - tf.sin(angle)) * height
    c, d = tf.sin(angle) * width, tf.cos(angle) * height
    center = 13.5
    x, y = center + right - (a + b) * center, center + down - (c + d) * center
    matrices = tf.stack([a, b, x, c, d, y, tf.zeros_like(a), tf.zeros_like(a)], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels, transforms=matrices, output_shape=[28, 28], fill_value=0., interpolation='BILINEAR',
        fill_mode='CONSTANT')


def fit_network(images, labels, network, measured_epochs, seed=0):
    "Train some epochs of the whole recipe; for each, its seconds and processor seconds, the first with all set-up."
    tf = load_tensorflow()
    import keras
    flags = Path('/proc/cpuinfo').read_text()
    policy = 'mixed_bfloat16' if 'avx512_bf16' in flags or 'amx_bf16' in flags else 'float32'
    times = [(perf_counter(), process_time())]
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    pixels = tf.constant((images[..., None] / 255).astype(np.float32))
    targets = tf.constant(np.eye(10, dtype=np.float32)[labels])
    epochs, steps = EPOCHS[network], len(images) // BATCH
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(images))[:steps * BATCH].reshape(steps, BATCH) for _ in range(measured_epochs)]
    order = np.concatenate(orders)

    @tf.autograph.experimental.do_not_convert
    def batch(step, chosen):
        return warp(tf, tf.gather(pixels, chosen), tf.stack([seed, 10 * step])), tf.gather(targets, chosen)

    numbered = tf.data.Dataset.from_tensor_slices((np.arange(len(order)), order))
    data = numbered.map(batch, num_parallel_calls=2, deterministic=True).prefetch(4)
    model = make_network(keras, network, policy)
    warmup = steps // 2
    rate = keras.optimizers.schedules.CosineDecay(
        0., decay_steps=epochs * steps - warmup, warmup_target=4e-3, warmup_steps=warmup)
    model.compile(optimizer=keras.optimizers.Adam(rate), metrics=['accuracy'], jit_compile=False,
                  loss=keras.losses.CategoricalCrossentropy(label_smoothing=.1))
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: times.append((perf_counter(), process_time())))
    model.fit(data, epochs=measured_epochs, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=[note])
    return [dict(seconds=later[0] - earlier[0], cpu=later[1] - earlier[1]) for earlier, later in zip(times, times[1:])]
