"""What the server counts, read as Prometheus reads it."""

from fancnn.serve.server_metrics import Metrics


def test_two_servers_of_a_process_count_apart_and_name_their_files() -> None:
    one, other = Metrics('a "b"\n.onnx', "12ab"), Metrics("other.onnx", "34cd")
    one.add_request(200, 0.003)
    one.golden_runs.labels("pass").inc()
    assert 'fancnn_model_info{file="a \\"b\\"\\n.onnx",sha256="12ab"} 1.0' in one.as_text(True, 3)
    counted, apart = one.as_text(True, 3).splitlines(), other.as_text(False, 0).splitlines()
    for line in (
        *('fancnn_images_total{decision="GO"} 0.0', 'fancnn_requests_total{status="200"} 1.0'),
        *('fancnn_golden_runs_total{result="pass"} 1.0', 'fancnn_golden_runs_total{result="fail"} 0.0'),
        *('fancnn_request_seconds_bucket{le="0.002"} 0.0', 'fancnn_request_seconds_bucket{le="0.005"} 1.0'),
        *("fancnn_ready 1.0", "fancnn_requests_under_way 3.0", "fancnn_not_finite_total 0.0"),
    ):
        assert line in counted
    assert 'fancnn_golden_runs_total{result="pass"} 0.0' in apart
    assert "fancnn_ready 0.0" in apart
