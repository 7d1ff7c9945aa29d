{{/*
What every pod has, and what its part's values add. Each takes a dictionary with the keys "root" and "part"; what a part
says itself comes before what is said for every pod.
*/}}

{{/* Rights, and where the pod runs. */}}
{{- define "notifyx.podCommon" -}}
{{- $own := index .root.Values .part -}}
{{- with $own.podSecurityContext | default .root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat .root.Values.image.pullSecrets ((.root.Values.global | default dict).imagePullSecrets | default list) | uniq }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.nodeSelector | default .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations | default .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity | default .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName | default .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.runtimeClassName | default .root.Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Of pods that serve: how they are spread, and what runs before the container. */}}
{{- define "notifyx.podExtras" -}}
{{- $own := index .root.Values .part -}}
{{- $given := $own.topologySpreadConstraints | default .root.Values.topologySpreadConstraints -}}
{{- $service := has .part (list "gateway" "auth" "store" "mailer") -}}
{{- if and $service (not $given) }}
{{- $given = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") }}
{{- end }}
{{- with $given }}
topologySpreadConstraints:
{{- range $one := . }}
  {{- /* Only pods of one revision are counted: those that are being replaced would spoil the spread of their successors. */}}
  {{- $more := dict "labelSelector" (dict "matchLabels" (include "notifyx.selector" $ | fromYaml)) }}
  {{- if $service }}{{ $_ := set $more "matchLabelKeys" (list "pod-template-hash") }}{{ end }}
  - {{ toYaml (hasKey $one "labelSelector" | ternary $one (merge (dict) $one $more)) | nindent 4 | trim }}
{{- end }}
{{- end }}
{{- with $own.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "notifyx.podAnnotations" -}}
notifyx.dev/secrets: {{ include "notifyx.secretsChecksum" .root }}
{{- with include "notifyx.givenAnnotations" . }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "notifyx.givenAnnotations" -}}
{{- with merge (dict) ((index .root.Values .part | default dict).podAnnotations | default dict) .root.Values.podAnnotations .root.Values.commonAnnotations -}}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A container's rights. */}}
{{- define "notifyx.containerSecurity" -}}
{{- with (index .root.Values .part).containerSecurityContext | default .root.Values.containerSecurityContext -}}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Settings of a service, and variables of the user's own. */}}
{{- define "notifyx.extraEnv" -}}
{{- range $name, $value := (index .root.Values .part).settings }}
- name: NOTIFYX_{{ $name | snakecase | upper }}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- with (index .root.Values .part).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The same for a container without variables of the chart's. */}}
{{- define "notifyx.ownEnv" -}}
{{- with (index .root.Values .part).extraEnv -}}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "notifyx.envFrom" . }}
{{- end -}}

{{- define "notifyx.envFrom" -}}
{{- with (index .root.Values .part).extraEnvFrom -}}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Certificates, and what the user mounts. */}}
{{- define "notifyx.mounts" -}}
{{- if and .root.Values.internalTls.enabled (has .part (list "gateway" "auth" "store" "mailer" "operator")) }}
- {name: internal-tls, mountPath: /etc/notifyx/tls, readOnly: true}
{{- end }}
{{- range $name, $secret := include "notifyx.authorities" . | fromYaml }}
- {name: {{ $name }}-ca, mountPath: /etc/notifyx/{{ $name }}, readOnly: true}
{{- end }}
{{- with (index .root.Values .part).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "notifyx.volumes" -}}
{{- if and .root.Values.internalTls.enabled (has .part (list "gateway" "auth" "store" "mailer" "operator")) }}
- name: internal-tls
  secret:
    {{- /* The operator is called by nobody: it gets the authority alone, from the gateway's Secret. */}}
    {{- if eq .part "operator" }}
    secretName: {{ include "notifyx.tlsSecret" (dict "root" .root "part" "gateway") }}
    items: [{key: ca.crt, path: ca.crt}]
    {{- else }}
    secretName: {{ include "notifyx.tlsSecret" . }}
    {{- end }}
    defaultMode: 0440
{{- end }}
{{- range $name, $secret := include "notifyx.authorities" . | fromYaml }}
- {name: {{ $name }}-ca, secret: {secretName: {{ $secret }}, items: [{key: ca.crt, path: ca.crt}]}}
{{- end }}
{{- with (index .root.Values .part).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Secrets with authorities that a part trusts, by what they are for. */}}
{{- define "notifyx.authorities" -}}
{{- $found := dict -}}
{{- $values := .root.Values -}}
{{- if and $values.database.existingCaSecret (include "notifyx.externalDatabase" .) }}{{ $_ := set $found "database" $values.database.existingCaSecret }}{{ end -}}
{{- if and $values.prometheus.existingCaSecret (has .part (list "gateway" "operator")) }}{{ $_ := set $found "prometheus" $values.prometheus.existingCaSecret }}{{ end -}}
{{- if and (eq .part "mailer") $values.smtp.host $values.smtp.existingCaSecret }}{{ $_ := set $found "smtp" $values.smtp.existingCaSecret }}{{ end -}}
{{- if and (eq .part "gateway") $values.memcached.tls.enabled $values.memcached.tls.existingCaSecret }}{{ $_ := set $found "memcached" $values.memcached.tls.existingCaSecret }}{{ end -}}
{{- if and (eq .part "store") (eq $values.bus.kind "nats") $values.bus.nats.existingCaSecret }}{{ $_ := set $found "bus" $values.bus.nats.existingCaSecret }}{{ end -}}
{{- toYaml $found -}}
{{- end -}}

{{- define "notifyx.sidecars" -}}
{{- with (index .root.Values .part).extraContainers -}}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* IPv4, IPv6 or both, as the cluster has them. */}}
{{- define "notifyx.families" -}}
{{- with .Values.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end -}}
