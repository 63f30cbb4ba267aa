#compdef hallpass
# Completes the arguments of hallpass in zsh.
_hallpass() {
  local line value about
  local -a before values shown open openshown
  before=("${(@Q)words[2,CURRENT-1]}")
  for line in "${(@f)$(command hallpass complete "=${(Q)PREFIX}" "${(@)before}" 2>/dev/null)}"; do
    value=${line%%$'\t'*}
    about=${line#*$'\t'}
    case $value in
      '') ;;
      :files) [[ $PREFIX == --*=* ]] && compset -P 1 '*='; _files ;;
      :directories) [[ $PREFIX == --*=* ]] && compset -P 1 '*='; _files -/ ;;
      :commands) _command_names -e ;;
      *=) open+=("$value"); openshown+=("$value${about:+  -- $about}") ;;
      *) values+=("$value"); shown+=("$value${about:+  -- $about}") ;;
    esac
  done
  (($#values)) && compadd -l -d shown -a values
  (($#open)) && compadd -S '' -l -d openshown -a open
}
if [[ ${funcstack[1]} == _hallpass ]]; then _hallpass "$@"; else compdef _hallpass hallpass; fi
