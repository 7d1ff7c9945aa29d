// Nothing is built of these: they are where other projects' resource definitions are fetched from.
module notifyx.dev/test-cluster/definitions

go 1.25.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.3
)
