"""Compiles, runs and checks the networks of make.py and prints the table of BENCHMARKS.md.

    python benches/models/make.py DIRECTORY
    cargo build --release
    python benches/models/table.py DIRECTORY [MODEL ...]

Every step is a process of its own; `run`'s time and peak memory are the server's, for one sample.
Precision is that of `verify` over three samples, accuracy that of `simulate` over the test images.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

PIC = pathlib.Path(__file__).parents[2] / "target" / "release" / "pic"
THREADS = (1, 2)


def pic(*arguments):
    command = [str(PIC), "--json", *map(str, arguments)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout) if result.stdout.strip() else {}


def row(data, model, scratch):
    path = {kind: scratch / f"{model.stem}.{kind}" for kind in ("pic", "sk", "ek", "x", "y")}
    test, labels = data / "test_x.npy", data / "test_y.npy"
    compiled = pic(
        "compile", model, "--calibration", data / "calibration_x.npy", "--labels", data / "calibration_y.npy",
        "-o", path["pic"],
    )  # fmt: skip
    pic("keygen", path["pic"], "--secret-key", path["sk"], "--evaluation-keys", path["ek"])
    pic("encrypt", path["pic"], "--secret-key", path["sk"], "--input", test, "--index", 0, "-o", path["x"])
    runs = {}
    for threads in THREADS:
        arguments = ["run", path["pic"], "--evaluation-keys", path["ek"], "--input", path["x"], "-o", path["y"]]
        runs[threads] = min((pic("--threads", threads, *arguments) for _ in range(3)), key=lambda r: r["seconds"])
    verified = pic("verify", path["pic"], "--input", test, "--labels", labels, "--count", 3)
    simulated = pic("simulate", path["pic"], "--input", test, "--labels", labels)
    degrees = ", ".join(str(a["degree"]) for a in compiled["activations"]) or "2 (exact)"
    cells = [
        model.stem,
        f"2^{compiled['log_n']}, {compiled['levels']}",
        degrees,
        *(f"{runs[t]['seconds']:.3f} s" for t in THREADS),
        f"{runs[1]['peak_bytes'] / 2**30:.2f} GiB",
        f"{verified['measured_precision_bits']:.1f} ({verified['predicted_precision_bits']:.1f})",
        f"{100 * simulated['accuracy']:.2f} % ({100 * simulated['plain_accuracy']:.2f} %)",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    data = pathlib.Path(sys.argv[1])
    models = [data / f"{name}.onnx" for name in sys.argv[2:]] or sorted(data.glob("*.onnx"))
    print("| network | N, levels | degrees | 1 thread | 2 threads | server memory | bits (predicted) | accuracy (plain) |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            row(data, model, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
