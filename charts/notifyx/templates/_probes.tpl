{{/*
The probes of a part's container, with the keys "root" and "part": the chart's own, each with what the values say of it.
One that is null is left out; one with a way of its own (httpGet, exec, tcpSocket, grpc) goes that way alone.
*/}}
{{- define "notifyx.probes" -}}
{{- $values := index .root.Values .part -}}
{{- $ways := list "httpGet" "exec" "tcpSocket" "grpc" -}}
{{- $probes := dict -}}
{{- $own := include "notifyx.ownProbes" .part | fromYaml -}}
{{- range $name := list "startupProbe" "livenessProbe" "readinessProbe" -}}
{{- $given := index $values $name -}}
{{- $probe := index $own $name | default dict -}}
{{- if kindIs "map" $given -}}
{{- range $ways }}{{ if hasKey $given . }}{{ $probe = omit $probe "httpGet" "exec" "tcpSocket" "grpc" }}{{ end }}{{ end -}}
{{- with merge (dict) $given $probe }}{{ $_ := set $probes $name . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with $probes }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* By the name of a part: what the chart says itself. */}}
{{- define "notifyx.ownProbes" -}}
{{- if has . (list "gateway" "auth" "store" "mailer") }}
# A start may wait for its database and migrate; after that, a process that does not answer is replaced.
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 1
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 3
{{- else if eq . "operator" }}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 1
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
{{- else if eq . "postgres" }}
startupProbe:
  exec: {command: [bash, /etc/notifyx/postgres.sh, made]}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 900
# Without a process in the container: such a probe every two seconds took as much as the idle server itself.
readinessProbe:
  tcpSocket: {port: postgres}
  periodSeconds: 2
# A server that hangs accepts connections as well; one that answers says so as a server, and needs no shell.
livenessProbe:
  exec: {command: [pg_isready, --quiet, --host=/tmp, --username=postgres, --dbname=postgres]}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- else if eq . "memcached" }}
readinessProbe:
  tcpSocket: {port: memcached}
  periodSeconds: 2
livenessProbe:
  tcpSocket: {port: memcached}
  periodSeconds: 10
{{- else if eq . "mailbox" }}
readinessProbe:
  tcpSocket: {port: smtp}
  periodSeconds: 2
{{- else if eq . "prometheus" }}
startupProbe:
  httpGet: {path: /-/ready, port: web}
  periodSeconds: 1
  failureThreshold: 600
readinessProbe:
  httpGet: {path: /-/ready, port: web}
  periodSeconds: 2
livenessProbe:
  httpGet: {path: /-/healthy, port: web}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
{{- end -}}
