{{/* Names and labels. A dictionary with the keys "root" and "part" is what most of them take. */}}

{{- define "notifyx.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "notifyx" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-notifyx" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "notifyx.name" -}}
{{ include "notifyx.fullname" .root }}-{{ .part }}
{{- end -}}

{{- define "notifyx.selector" -}}
app.kubernetes.io/name: notifyx
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "notifyx.labels" -}}
{{ include "notifyx.selector" . }}
app.kubernetes.io/part-of: notifyx
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What is added to annotations that an object has anyway. */}}
{{- define "notifyx.commonAnnotations" -}}
{{- with .Values.commonAnnotations }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Of pods: nothing that changes with the chart alone, so that an upgrade replaces only what it has to. */}}
{{- define "notifyx.podLabels" -}}
{{ include "notifyx.selector" . }}
app.kubernetes.io/part-of: notifyx
{{- if has .part (list "gateway" "auth" "store" "mailer" "operator") }}
notifyx.dev/metrics: "yes"
{{- end }}
{{- with merge (dict) ((index .root.Values .part | default dict).podLabels | default dict) .root.Values.podLabels .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The keys "name" and "annotations" may hold the object's own. Labels come last: more of them may follow. */}}
{{- define "notifyx.metadata" -}}
name: {{ .name | default (include "notifyx.name" .) }}
namespace: {{ .root.Release.Namespace }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "notifyx.labels" . | nindent 2 }}
{{- end -}}

{{/*
An image: a digest wins over a tag, a part's own registry over the common one, and a repository that begins with a
registry (it has a dot or a port, or is localhost) over both. global.imageRegistry is in front of all images, in place of
what else is their registry.
*/}}
{{- define "notifyx.image" -}}
{{- $own := (index .root.Values .part).image -}}
{{- $global := (.root.Values.global | default dict).imageRegistry -}}
{{- $registry := $own.registry | default $global | default .root.Values.image.registry -}}
{{- $named := "^([^/]*[.:][^/]*|localhost)/" -}}
{{- $name := $own.repository -}}
{{- if and $global (not $own.registry) -}}
{{- $name = printf "%s/%s" $global (regexReplaceAll $named $name "") -}}
{{- else if and $registry (not (regexMatch $named $name)) -}}
{{- $name = printf "%s/%s" $registry $name -}}
{{- end -}}
{{- if $own.digest -}}
{{ $name }}@{{ $own.digest }}
{{- else -}}
{{ $name }}:{{ $own.tag | default .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "notifyx.secretName" -}}
{{ .Values.secrets.existingSecret | default (printf "%s-secrets" (include "notifyx.fullname" .)) }}
{{- end -}}

{{/* The URL under which users reach the platform. */}}
{{- define "notifyx.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{ .Values.publicUrl | trimSuffix "/" }}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}
{{ ternary "https" "http" (not (empty .Values.ingress.tls)) }}://{{ .Values.ingress.host }}
{{- else -}}
http://localhost:4000
{{- end -}}
{{- end -}}

{{- define "notifyx.socketUrl" -}}
{{- if or .Values.publicUrl (and .Values.ingress.enabled .Values.ingress.host) -}}
{{ regexReplaceAll "^http" (include "notifyx.publicUrl" .) "ws" }}/socket
{{- else -}}
ws://localhost:4001/socket
{{- end -}}
{{- end -}}

{{/* The domain of Message-IDs. An IPv6 address is no domain that a header may have. */}}
{{- define "notifyx.mailDomain" -}}
{{- $host := (urlParse (include "notifyx.publicUrl" .)).hostname -}}
{{ .Values.smtp.domain | default (ternary "localhost" $host (contains ":" $host)) }}
{{- end -}}

{{/* Pods are replaced when the secret's declared parts change; what was generated stays as it is. */}}
{{- define "notifyx.secretsChecksum" -}}
{{- toJson (dict "secrets" .Values.secrets "database" (omit .Values.database "existingCaSecret") "smtp" .Values.smtp) | sha256sum | trunc 16 -}}
{{- end -}}

{{/* Who calls whom: each pair has a token of its own. */}}
{{- define "notifyx.tokenPairs" -}}
gateway-auth gateway-store gateway-mailer gateway-gateway mailer-mailer operator-store operator-gateway
{{- end -}}

{{/* "yes" in the upgrade from a version whose services shared one token, and in no later one. */}}
{{- define "notifyx.sharedToken" -}}
{{- $kept := (lookup "v1" "Secret" .Release.Namespace (include "notifyx.secretName" .)).data | default dict -}}
{{- if and (hasKey $kept "internal-token") (not (hasKey $kept "token-gateway-store")) }}yes{{ end -}}
{{- end -}}

{{/* Settings that every service takes. */}}
{{- define "notifyx.commonEnv" -}}
- name: NOTIFYX_INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- $secret := include "notifyx.secretName" .root }}
{{- range $pair := splitList " " (include "notifyx.tokenPairs" .root) }}
{{- $ends := splitList "-" $pair }}
{{- if eq (first $ends) $.part }}
- name: NOTIFYX_INTERNAL_TOKENS__{{ upper (last $ends) }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: token-{{ $pair }}}}
{{- end }}
{{- if eq (last $ends) $.part }}
- name: NOTIFYX_INTERNAL_CALLERS__{{ upper (first $ends) }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: token-{{ $pair }}}}
{{- end }}
{{- end }}
{{- if .root.Values.secrets.existingSecret }}
# Only while pods of an older version are replaced: remove the key internal-token from the Secret after that.
- name: NOTIFYX_INTERNAL_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: internal-token, optional: true}}
{{- else if include "notifyx.sharedToken" .root }}
# Only in this upgrade: pods of the older version know no other token.
- name: NOTIFYX_INTERNAL_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: internal-token}}
{{- end }}
{{- if .root.Values.internalTls.enabled }}
- {name: NOTIFYX_INTERNAL_TLS_CA_FILE, value: /etc/notifyx/tls/ca.crt}
{{- if ne .part "operator" }}
- {name: NOTIFYX_INTERNAL_TLS_CERT_FILE, value: /etc/notifyx/tls/tls.crt}
- {name: NOTIFYX_INTERNAL_TLS_KEY_FILE, value: /etc/notifyx/tls/tls.key}
- {name: NOTIFYX_INTERNAL_TLS_ACCEPT_PLAIN, value: {{ .root.Values.internalTls.acceptPlain | quote }}}
{{- end }}
{{- end }}
- name: NOTIFYX_LOG_LEVEL
  value: {{ .root.Values.logLevel }}
- name: NOTIFYX_DRAIN_SECONDS
  value: {{ (index .root.Values .part).drainSeconds | quote }}
{{- end -}}

{{- define "notifyx.discoveryEnv" -}}
- name: NOTIFYX_KUBERNETES_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: NOTIFYX_KUBERNETES_SERVICES
  value: '{{ include "notifyx.services" .root }}'
{{- end -}}

{{- define "notifyx.services" -}}
{{- $full := include "notifyx.fullname" . -}}
{"auth":"{{ $full }}-auth","gateway":"{{ $full }}-gateway","mailer":"{{ $full }}-mailer","store":"{{ $full }}-store"}
{{- end -}}

{{- define "notifyx.memcachedEnv" -}}
- name: NOTIFYX_MEMCACHED
  {{- if .Values.memcached.servers }}
  value: {{ join "," .Values.memcached.servers | quote }}
  {{- else if include "notifyx.memcached" . }}
  value: {{ include "notifyx.fullname" . }}-memcached:11211
  {{- else }}
  value: ""
  {{- end }}
{{- if .Values.memcached.tls.enabled }}
- {name: NOTIFYX_MEMCACHED_TLS, value: "true"}
{{- if .Values.memcached.tls.existingCaSecret }}
- {name: NOTIFYX_MEMCACHED_CA_FILE, value: /etc/notifyx/memcached/ca.crt}
{{- end }}
{{- end }}
{{- end -}}

{{/* How stores wake each other: nothing where PostgreSQL does it. */}}
{{- define "notifyx.busEnv" -}}
{{- if eq .Values.bus.kind "nats" -}}
{{- $nats := .Values.bus.nats -}}
- {name: NOTIFYX_BUS_URL, value: {{ $nats.url | quote }}}
- {name: NOTIFYX_BUS_SUBJECT, value: {{ $nats.subject | default (printf "notifyx.%s.%s" .Release.Namespace (include "notifyx.fullname" .)) | quote }}}
{{- if and $nats.existingSecret (eq $nats.login "token") }}
- {name: NOTIFYX_BUS_TOKEN_FILE, value: /etc/notifyx/bus-login/token}
{{- else if $nats.existingSecret }}
- name: NOTIFYX_BUS_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $nats.existingSecret }}, key: username}}
- {name: NOTIFYX_BUS_PASSWORD_FILE, value: /etc/notifyx/bus-login/password}
{{- end }}
{{- if $nats.existingCaSecret }}
- {name: NOTIFYX_BUS_CA_FILE, value: /etc/notifyx/bus/ca.crt}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Secret that proves stores to NATS; empty where nothing does. */}}
{{- define "notifyx.busLogin" -}}
{{- if eq .Values.bus.kind "nats" }}{{ .Values.bus.nats.existingSecret }}{{ end -}}
{{- end -}}

{{/* "yes" where a database is on the built-in server. */}}
{{- define "notifyx.postgres" -}}
{{- $both := and .Values.database.auth.existingSecret .Values.database.store.existingSecret -}}
{{- if and .Values.postgres.enabled (not $both) }}yes{{ end -}}
{{- end -}}

{{/* "yes" where memcached is the built-in one. */}}
{{- define "notifyx.memcached" -}}
{{- if and .Values.memcached.enabled (not .Values.memcached.servers) }}yes{{ end -}}
{{- end -}}

{{/* The database's URL: from a Secret of the user's, or made of the built-in server's password. */}}
{{- define "notifyx.databaseEnv" -}}
{{- $own := index .root.Values.database .part -}}
{{- if $own.existingSecret }}
- name: NOTIFYX_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ $own.existingSecret }}, key: {{ $own.key }}}}
{{- include "notifyx.databaseCaEnv" .root }}
{{- else }}
- name: DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "notifyx.secretName" .root }}, key: {{ .part }}-database-password}}
- name: NOTIFYX_DATABASE_URL
  value: postgresql://notifyx_{{ .part }}:$(DATABASE_PASSWORD)@{{ include "notifyx.fullname" .root }}-postgres:5432/notifyx_{{ .part }}
{{- end }}
{{- end -}}

{{/* The standbys that stores read, where there are some. */}}
{{- define "notifyx.replicaEnv" -}}
{{- with .Values.database.readReplica -}}
{{- if .existingSecret -}}
- name: NOTIFYX_READ_REPLICA_URL
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What PostgreSQL's clients read: a URL that says sslmode=... itself comes first. */}}
{{- define "notifyx.databaseCaEnv" -}}
{{- if .Values.database.existingCaSecret }}
- {name: PGSSLMODE, value: verify-full}
- {name: PGSSLROOTCERT, value: /etc/notifyx/database/ca.crt}
{{- end }}
{{- end -}}

{{/* "yes" where a part connects to a database that is not the built-in one. */}}
{{- define "notifyx.externalDatabase" -}}
{{- $own := .root.Values.database -}}
{{- $auth := and (has .part (list "auth" "backup")) $own.auth.existingSecret -}}
{{- if or $auth (and (has .part (list "store" "backup")) $own.store.existingSecret) }}yes{{ end -}}
{{- end -}}

{{/* Both databases' URLs, for a backup. */}}
{{- define "notifyx.backupEnv" -}}
{{- range $part := list "auth" "store" }}
{{- $own := index $.Values.database $part }}
{{- if $own.existingSecret }}
- name: NOTIFYX_BACKUP_{{ upper $part }}_URL
  valueFrom: {secretKeyRef: {name: {{ $own.existingSecret }}, key: {{ $own.key }}}}
{{- else }}
- name: {{ upper $part }}_DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "notifyx.secretName" $ }}, key: {{ $part }}-database-password}}
- name: NOTIFYX_BACKUP_{{ upper $part }}_URL
  value: postgresql://notifyx_{{ $part }}:$({{ upper $part }}_DATABASE_PASSWORD)@{{ include "notifyx.fullname" $ }}-postgres:5432/notifyx_{{ $part }}
{{- end }}
{{- end }}
{{- with .Values.backup.s3 }}
{{- if .bucket }}
- {name: NOTIFYX_BACKUP_S3_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: NOTIFYX_BACKUP_S3_REGION, value: {{ .region | quote }}}
{{- if .existingSecret }}
- name: NOTIFYX_BACKUP_S3_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: access-key}}
- name: NOTIFYX_BACKUP_S3_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: secret-key}}
{{- end }}
{{- end }}
{{- end }}
{{- if include "notifyx.externalDatabase" (dict "root" . "part" "backup") }}
{{- include "notifyx.databaseCaEnv" . }}
{{- end }}
{{- end -}}

{{/* The size of the volume that holds the store's database, in the form that its settings read; empty: unknown. */}}
{{- define "notifyx.storageCapacity" -}}
{{- $size := .Values.alarms.storageCapacity -}}
{{- if and (not $size) (not .Values.database.store.existingSecret) .Values.postgres.persistence.enabled -}}
{{- $size = .Values.postgres.persistence.size -}}
{{- end -}}
{{- if hasSuffix "i" $size }}{{ $size }}B{{ else }}{{ $size }}{{ end -}}
{{- end -}}

{{/* The Secret with a service's certificate, its key and the authority. An Issuer's has another name than the chart's own. */}}
{{- define "notifyx.tlsSecret" -}}
{{ include "notifyx.name" . }}-{{ ternary "tls" "own-tls" (not (empty .root.Values.internalTls.issuerRef.name)) }}
{{- end -}}

{{/* The names of a Service; its callers verify the last one. */}}
{{- define "notifyx.tlsNames" -}}
{{- $name := include "notifyx.name" . -}}
- {{ $name }}
- {{ $name }}.{{ .root.Release.Namespace }}
- {{ $name }}.{{ .root.Release.Namespace }}.svc
{{- end -}}

{{/* Ports of internal calls, for NetworkPolicies. */}}
{{- define "notifyx.internalPorts" -}}
{{- if .Values.internalTls.enabled -}}
- {protocol: TCP, port: 4443}
{{- if .Values.internalTls.acceptPlain }}
- {protocol: TCP, port: 4000}
{{- end }}
{{- else -}}
- {protocol: TCP, port: 4000}
{{- end -}}
{{- end -}}

{{- define "notifyx.ports" -}}
- {name: http, containerPort: 4000}
{{- if .root.Values.internalTls.enabled }}
- {name: internal, containerPort: 4443}
{{- end }}
- {name: metrics, containerPort: 9090}
{{- end -}}

{{/* Endpoints are withdrawn everywhere before the process starts to drain. */}}
{{- define "notifyx.lifecycle" -}}
{{- with .root.Values.preStopSeconds -}}
lifecycle:
  preStop: {sleep: {seconds: {{ . }}}}
{{- end -}}
{{- end -}}

{{- define "notifyx.grace" -}}
{{- add (index .root.Values .part).drainSeconds .root.Values.preStopSeconds 10 -}}
{{- end -}}

{{/* DNS, wherever the cluster has it. */}}
{{- define "notifyx.dnsEgress" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "notifyx.apiServerEgress" -}}
- ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .Values.networkPolicy.apiServer.cidr }}
  to:
    - ipBlock: {cidr: {{ . }}}
  {{- end }}
{{- end -}}

{{/* Peers of this release: (dict "root" $ "parts" (list "gateway")) */}}
{{- define "notifyx.peers" -}}
{{- $root := .root -}}
{{- range .parts }}
- podSelector:
    matchLabels:
      {{- include "notifyx.selector" (dict "root" $root "part" .) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* The database, with the dictionary of a service that has one. */}}
{{- define "notifyx.databaseEgress" -}}
{{- if (index .root.Values.database .part).existingSecret -}}
- ports:
    - {protocol: TCP, port: {{ .root.Values.database.port }}}
{{- else -}}
- ports:
    - {protocol: TCP, port: 5432}
  to:
    {{- include "notifyx.peers" (dict "root" .root "parts" (list "postgres")) | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "notifyx.memcachedEgress" -}}
{{- if .Values.memcached.servers -}}
{{- $ports := list -}}
{{- range .Values.memcached.servers }}{{ $ports = append $ports (regexFind "[0-9]+$" .) }}{{ end -}}
- ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- else if .Values.memcached.enabled -}}
- ports:
    - {protocol: TCP, port: 11211}
  to:
    {{- include "notifyx.peers" (dict "root" . "parts" (list "memcached")) | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "notifyx.busEgress" -}}
{{- if eq .Values.bus.kind "nats" -}}
{{- $ports := list -}}
{{- range splitList "," .Values.bus.nats.url }}{{ $ports = append $ports (regexFind "[0-9]+$" .) }}{{ end -}}
- ports:
    {{- range $ports | uniq }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}
{{- end -}}

{{- define "notifyx.metricsIngress" -}}
- ports:
    - {protocol: TCP, port: 9090}
  {{- with .Values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
    # For the dashboard, and the built-in Prometheus.
    {{- include "notifyx.peers" (dict "root" $ "parts" (list "gateway" "prometheus")) | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Base URL of the Prometheus that knows this release; empty where there is none. */}}
{{- define "notifyx.prometheusUrl" -}}
{{- if .Values.prometheus.url -}}
{{ .Values.prometheus.url | trimSuffix "/" }}
{{- else if .Values.prometheus.enabled -}}
http://{{ include "notifyx.fullname" . }}-prometheus:9090
{{- end -}}
{{- end -}}

{{- define "notifyx.prometheusEnv" -}}
- name: NOTIFYX_PROMETHEUS_URL
  value: {{ include "notifyx.prometheusUrl" . | quote }}
- name: NOTIFYX_PROMETHEUS_MATCH
  value: {{ .Values.prometheus.match | quote }}
{{- with .Values.prometheus.existingSecret }}
- name: NOTIFYX_PROMETHEUS_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . }}, key: token}}
{{- end }}
{{- if .Values.prometheus.existingCaSecret }}
- {name: NOTIFYX_PROMETHEUS_CA_FILE, value: /etc/notifyx/prometheus/ca.crt}
{{- end }}
{{- end -}}

{{- define "notifyx.prometheusEgress" -}}
{{- if .Values.prometheus.url -}}
{{- $url := urlParse .Values.prometheus.url -}}
- ports:
    - {protocol: TCP, port: {{ regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) }}}
{{- else if .Values.prometheus.enabled -}}
- ports:
    - {protocol: TCP, port: 9090}
  to:
    {{- include "notifyx.peers" (dict "root" . "parts" (list "prometheus")) | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* "yes" where the operator probes: the gateway has to accept its ServiceAccount. */}}
{{- define "notifyx.probes.on" -}}
{{- if and .Values.prober.seconds .Values.serviceAccounts.audience }}yes{{ end -}}
{{- end -}}

{{/* Where it probes: the entry point that is named, or else the gateway's Service. */}}
{{- define "notifyx.probeEnv" -}}
{{- $gateway := include "notifyx.name" (dict "root" . "part" "gateway") -}}
- name: NOTIFYX_PROBE_SECONDS
  value: {{ .Values.prober.seconds | quote }}
- name: NOTIFYX_PROBE_ACCOUNT
  value: system:serviceaccount:{{ .Release.Namespace }}:{{ include "notifyx.account" (dict "root" . "part" "operator") }}
- name: NOTIFYX_PROBE_TOKEN_FILE
  value: /var/run/secrets/notifyx/token
{{- if .Values.prober.url }}
- name: NOTIFYX_PROBE_URL
  value: {{ .Values.prober.url | trimSuffix "/" | quote }}
- name: NOTIFYX_PROBE_SOCKET
  value: {{ printf "%s/socket" (regexReplaceAll "^http" (.Values.prober.url | trimSuffix "/") "ws") | quote }}
{{- else }}
- name: NOTIFYX_PROBE_URL
  value: http://{{ $gateway }}:4000
- name: NOTIFYX_PROBE_SOCKET
  value: ws://{{ $gateway }}:4001/socket
{{- end }}
{{- end -}}

{{/* The NotifyxPlatform. The operator makes it: Helm knows no resource whose definition it brings itself. */}}
{{- define "notifyx.platform" -}}
{{- $services := dict -}}
{{- range $part := list "gateway" "auth" "store" "mailer" -}}
{{- $own := index $.Values $part -}}
{{- $one := dict "deployment" (include "notifyx.name" (dict "root" $ "part" $part)) "minimum" (int $own.minimum) "maximum" (int $own.maximum) "stabilizationSeconds" (int $own.stabilizationSeconds) -}}
{{- with $own.capacity }}{{ $_ := set $one "capacity" . }}{{ end -}}
{{- with $own.maximumLatencyMilliseconds }}{{ $_ := set $one "maximumLatencyMilliseconds" (int .) }}{{ end -}}
{{- $_ := set $services $part $one -}}
{{- end -}}
{{- toJson (dict "name" (include "notifyx.fullname" .) "deployment" (include "notifyx.name" (dict "root" . "part" "operator")) "spec" (dict "services" $services)) -}}
{{- end -}}
