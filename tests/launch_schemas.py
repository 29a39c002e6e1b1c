"""The files of launch/ against the schemas of what reads them: SkyPilot's own, Kubernetes' for a Job, JobSet's CRD.

    make launch-check                                                 # makes its environment
    JOBSET_CRD=jobset.x-k8s.io_jobsets.yaml make launch-check         # the CRD of JobSet's repository too

Exit code 1 and a line for each fault. Nothing is started and no cloud is asked.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

LAUNCH = Path(__file__).parents[1] / "launch"


def main() -> int:
    faults = [fault for file in sorted(LAUNCH.glob("*.yaml")) for fault in of_file(file)]
    print("\n".join(faults) or "launch/*.yaml: no fault")
    return 1 if faults else 0


def of_file(file: Path) -> Iterator[str]:
    """The faults of a file, each with its place."""
    content = yaml.safe_load(file.read_text())
    found = of_jobset(content) if content.get("kind") == "JobSet" else of_skypilot(content)
    return (f"{file.name}: {fault}" for fault in found)


def of_skypilot(content: dict[str, Any]) -> Iterator[str]:
    import jsonschema
    from sky.utils import schemas

    for error in jsonschema.Draft7Validator(schemas.get_task_schema()).iter_errors(content):
        yield f"{error.json_path}: {error.message}"
    resources = jsonschema.Draft7Validator(schemas.get_resources_schema())
    for error in resources.iter_errors(content.get("resources", {})):
        yield f"resources {error.json_path}: {error.message}"


def of_jobset(content: dict[str, Any]) -> Iterator[str]:
    import jsonschema
    import kubernetes_validate

    for job in content["spec"]["replicatedJobs"]:
        whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job["name"]}, **job["template"]}
        try:
            kubernetes_validate.validate(whole, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"replicatedJobs {job['name']}: {'.'.join(map(str, error.path))}: {error.message}"
    if not (crd := os.environ.get("JOBSET_CRD")):
        return print("jobset.yaml: without JOBSET_CRD the Jobs in it are checked, not what is around them")
    versions = yaml.safe_load(Path(crd).read_text())["spec"]["versions"]
    version = content["apiVersion"].split("/")[1]
    (schema,) = (one["schema"]["openAPIV3Schema"] for one in versions if one["name"] == version)
    for error in jsonschema.Draft7Validator(strict(schema)).iter_errors(content):
        yield f"{error.json_path}: {error.message}"


def strict(schema: Any) -> Any:
    """A CRD's schema in which a field that it does not know is a fault; Kubernetes would drop it without a word."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(one) for name, one in schema.items()}
    free = made.get("x-kubernetes-preserve-unknown-fields") or made.get("type") != "object"
    known = isinstance(made.get("properties"), dict) and "additionalProperties" not in made
    # `metadata` is Kubernetes' own, and has no fields in a CRD.
    return {**made, "additionalProperties": False} if known and not free else made


if __name__ == "__main__":
    sys.exit(main())
