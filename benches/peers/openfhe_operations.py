"""Operations of CKKS in OpenFHE and in pic-ckks, on one thread of one processor, in one run.

N = 2^15, 14 limbs (13 levels), scale 2^40, three digits, uniform ternary secret, 128-bit security, fixed manual
rescaling in both. OpenFHE is measured before and after pic, because shared machines change their speed; each
figure is the median of so many runs. Every result is decrypted and compared.

    python3.10 -m venv peers && peers/bin/pip install -r benches/peers/requirements.txt
    peers/bin/python benches/peers/openfhe_operations.py
"""

import argparse
import os
import re
import statistics
import subprocess
import time

LOG_N, LIMBS, DIGITS, LOG_SCALE = 15, 14, 3, 40
ROTATE, HOISTED, MULTIPLY = "rotate", "8 hoisted rotations", "multiply, relinearise, rescale"
OPERATIONS = ROTATE, HOISTED, MULTIPLY
MILLISECONDS = {"ns": 1e-6, "µs": 1e-3, "ms": 1.0, "s": 1e3}


def openfhe_operations():
    """The operations by name, on a context made once; what each returns has been checked."""
    import openfhe

    parameters = openfhe.CCParamsCKKSRNS()
    parameters.SetRingDim(1 << LOG_N)
    parameters.SetMultiplicativeDepth(LIMBS - 1)
    parameters.SetScalingModSize(LOG_SCALE)
    parameters.SetFirstModSize(60)
    parameters.SetNumLargeDigits(DIGITS)
    parameters.SetKeySwitchTechnique(openfhe.KeySwitchTechnique.HYBRID)
    parameters.SetScalingTechnique(openfhe.ScalingTechnique.FIXEDMANUAL)
    parameters.SetSecretKeyDist(openfhe.SecretKeyDist.UNIFORM_TERNARY)
    parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_128_classic)
    context = openfhe.GenCryptoContext(parameters)
    for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE"):
        context.Enable(getattr(openfhe.PKESchemeFeature, feature))
    keys = context.KeyGen()
    context.EvalMultKeyGen(keys.secretKey)
    steps = list(range(1, 9))
    context.EvalRotateKeyGen(keys.secretKey, steps)

    slots = 1 << (LOG_N - 1)
    values = [(j % 255 - 127) / 128 for j in range(slots)]
    x = context.Encrypt(keys.publicKey, context.MakeCKKSPackedPlaintext(values))
    y = x.Clone()

    def hoisted():
        digits = context.EvalFastRotationPrecompute(x)
        order = 2 << LOG_N
        return [context.EvalFastRotation(x, step, order, digits) for step in steps]

    operations = {
        ROTATE: lambda: context.EvalRotate(x, 1),
        HOISTED: hoisted,
        MULTIPLY: lambda: context.Rescale(context.EvalMult(x, y)),
    }

    def check(result, expected):
        plaintext = context.Decrypt(keys.secretKey, result)
        plaintext.SetLength(slots)
        found = plaintext.GetRealPackedValue()
        assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 1e-5

    def rotated(step):
        return values[step:] + values[:step]

    check(operations[ROTATE](), rotated(1))
    for step, result in zip(steps, operations[HOISTED](), strict=True):
        check(result, rotated(step))
    check(operations[MULTIPLY](), [v * v for v in values])
    return operations


def milliseconds(operation, runs):
    def once():
        start = time.perf_counter()
        operation()
        return 1e3 * (time.perf_counter() - start)

    once()
    return statistics.median(once() for _ in range(runs))


def pic_milliseconds():
    """The medians that the benchmark of the engine's operations prints, which inherits the processor."""
    names = "|".join(re.escape(name) for name in OPERATIONS)
    only = rf"2\^{LOG_N}, {LIMBS} limbs, {DIGITS} digits/({names})$"
    bench = ["cargo", "bench", "--quiet", "-p", "pic-ckks", "--bench", "operations", "--", only]
    environment = os.environ | {"RAYON_NUM_THREADS": "1"}
    output = subprocess.run(bench, env=environment, check=True, capture_output=True, text=True)
    found = re.findall(r"digits/(.*?)\s+time:\s+\[\S+ \S+ (\S+) (\S+) ", output.stdout)
    times = {name: float(time) * MILLISECONDS[unit] for name, time, unit in found}
    assert set(times) == set(OPERATIONS), output.stdout
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    arguments = parser.parse_args()

    subprocess.run(["cargo", "bench", "--quiet", "-p", "pic-ckks", "--bench", "operations", "--no-run"], check=True)
    os.sched_setaffinity(0, {arguments.cpu})
    os.environ["OMP_NUM_THREADS"] = "1"
    openfhe = openfhe_operations()
    before = {name: milliseconds(openfhe[name], arguments.runs) for name in OPERATIONS}
    pic = pic_milliseconds()
    after = {name: milliseconds(openfhe[name], arguments.runs) for name in OPERATIONS}

    print(f"PIC_KERNELS={os.environ.get('PIC_KERNELS', '')}, milliseconds on one thread")
    print(f"{'':32}{'OpenFHE before':>16}{'after':>10}{'pic-ckks':>10}{'ratio':>8}")
    for name in OPERATIONS:
        ratio = min(before[name], after[name]) / pic[name]
        print(f"{name:32}{before[name]:16.1f}{after[name]:10.1f}{pic[name]:10.1f}{ratio:8.1f}")


if __name__ == "__main__":
    main()
